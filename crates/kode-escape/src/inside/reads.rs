//! Reading what belongs to others: by paths, by links, by what `/proc` shows, by descriptors.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};

use super::ground::{call, halves, read, secret, text};
use crate::attempt::{Attempt, Outcome, attempt, had, stopped, when};
use crate::targets::{CANARY, SECRET, Targets};

const FILES: &str = "another's files";
const SERVER: &str = "the server's secrets";
const NAMES: &str = "what there is outside";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("read_absolute", FILES, |to| read(&format!("{}/secret", to.other))),
    attempt("read_dots", FILES, |to| read(&format!("{}{}/secret", "../".repeat(30), to.other))),
    attempt("read_through_symlink", FILES, |to| {
        symlink(format!("{}/secret", to.other), "link-to-file")?;
        read("link-to-file")
    }),
    attempt("read_through_symlinked_directory", FILES, |to| {
        symlink(&to.other, "link-to-directory")?;
        read("link-to-directory/secret")
    }),
    attempt("read_through_hard_link", FILES, |to| {
        fs::hard_link(to.file("read_through_hard_link"), "hard-link")?;
        read("hard-link")
    }),
    attempt("read_in_a_race_of_links", FILES, race),
    attempt("read_by_proc_self_root", FILES, |to| read(&format!("/proc/self/root{}/secret", to.other))),
    attempt("read_by_proc_self_cwd", FILES, |to| {
        read(&format!("/proc/self/cwd/{}{}/secret", "../".repeat(30), to.other))
    }),
    attempt("read_by_server_root", FILES, |to| read(&format!("/proc/{}/root{}/secret", to.server, to.other))),
    attempt("read_by_server_cwd", FILES, |to| read(&format!("/proc/{}/cwd/agents/other/secret", to.server))),
    attempt("read_by_server_descriptor", SERVER, |to| read(&format!("/proc/{}/fd/{}", to.server, to.leaked))),
    attempt("read_by_other_cwd", FILES, |to| read(&format!("/proc/{}/cwd/secret", to.victim))),
    attempt("read_by_other_root", FILES, |to| read(&format!("/proc/{}/root{}/secret", to.victim, to.other))),
    attempt("list_server_descriptors", SERVER, |to| {
        had(fs::read_dir(format!("/proc/{}/fd", to.server))?.count())
    }),
    attempt("read_server_environment", SERVER, |to| {
        let text = fs::read(format!("/proc/{}/environ", to.server))?;
        when(String::from_utf8_lossy(&text).contains(CANARY), "its environment")
    }),
    attempt("read_server_arguments", SERVER, |to| {
        when(!fs::read(format!("/proc/{}/cmdline", to.server))?.is_empty(), "its arguments")
    }),
    attempt("read_server_maps", SERVER, |to| {
        when(!fs::read(format!("/proc/{}/maps", to.server))?.is_empty(), "its memory's map")
    }),
    attempt("read_server_memory", SERVER, |to| {
        let memory = fs::File::open(format!("/proc/{}/mem", to.server))?;
        let mut bytes = [0; SECRET.len()];
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, to.memory)?;
        secret(&bytes)
    }),
    attempt("read_server_program", SERVER, |to| {
        had(fs::read_link(format!("/proc/{}/exe", to.server))?.display())
    }),
    attempt("read_other_environment", FILES, |to| {
        when(!fs::read(format!("/proc/{}/environ", to.victim))?.is_empty(), "its environment")
    }),
    attempt("read_other_arguments", FILES, |to| {
        when(!fs::read(format!("/proc/{}/cmdline", to.victim))?.is_empty(), "its arguments")
    }),
    attempt("read_first_process", SERVER, |_| {
        when(!fs::read("/proc/1/environ")?.is_empty(), "the first process's environment")
    }),
    attempt("list_processes", NAMES, |to| {
        let pid = to.server.to_string();
        when(fs::read_dir("/proc")?.flatten().any(|one| one.file_name() == *pid), "the server's process")
    }),
    attempt("read_users", "the host's password hashes", |_| {
        when(!fs::read("/etc/shadow")?.is_empty(), "/etc/shadow")
    }),
    attempt("read_machine_id", NAMES, |_| when(!fs::read("/etc/machine-id")?.is_empty(), "/etc/machine-id")),
    attempt("read_inherited_environment", SERVER, |_| {
        when(std::env::var(CANARY).is_ok(), "a variable of the server's")
    }),
    attempt("read_inherited_descriptor", SERVER, |to| {
        let mut bytes = [0; SECRET.len()];
        call!(libc::SYS_pread64, to.leaked, &mut bytes[..], 21, 0)?;
        secret(&bytes)
    }),
    attempt("read_by_inherited_directory", FILES, |to| {
        let name = text("read_by_inherited_directory")?;
        let fd = call!(libc::SYS_openat, to.leaked_dir, name.as_c_str(), 0, 0)?;
        let mut bytes = [0; SECRET.len()];
        call!(libc::SYS_pread64, fd, &mut bytes[..], 21, 0)?;
        secret(&bytes)
    }),
    attempt("read_standard_input", SERVER, |_| {
        let mut bytes = [0; SECRET.len()];
        call!(libc::SYS_pread64, 0, &mut bytes[..], 21, 0)?;
        secret(&bytes)
    }),
    attempt("read_shared_memory_file", FILES, |to| read(&to.shm)),
    attempt("read_temporary_file", FILES, |to| read(&to.tmp)),
    attempt("list_agents", NAMES, |to| had(fs::read_dir(&to.agents)?.count())),
    attempt("list_outside", NAMES, |to| had(fs::read_dir(&to.outside)?.count())),
    attempt("look_at_outside", NAMES, |to| had(fs::metadata(to.file("look_at_outside"))?.size())),
    attempt("hold_outside", NAMES, |to| {
        let mut options = fs::File::options();
        let file = options.read(true).custom_flags(libc::O_PATH).open(to.file("hold_outside"))?;
        had(file.as_raw_fd())
    }),
    attempt("read_link_outside", NAMES, |to| had(fs::read_link(format!("{}/a-link", to.base))?.display())),
    attempt("read_attribute_outside", NAMES, |to| {
        let mut value = [0; 64];
        rustix::fs::getxattr(to.file("read_attribute_outside"), "user.kode", &mut value)?;
        had("an attribute")
    }),
    attempt("go_outside", NAMES, |to| {
        std::env::set_current_dir(&to.outside)?;
        had("another place to be")
    }),
    attempt("watch_outside", NAMES, |to| {
        let watcher = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::empty())?;
        let flags = rustix::fs::inotify::WatchFlags::ALL_EVENTS;
        had(rustix::fs::inotify::add_watch(&watcher, &to.outside, flags)?)
    }),
    attempt("watch_all_by_fanotify", NAMES, |to| {
        // Reporting by handle is what the kernel lets everybody ask for.
        let group = call!(libc::SYS_fanotify_init, 0x200, 0)?;
        let path = text(&to.outside)?;
        had(call!(libc::SYS_fanotify_mark, group, 1, 0x100, libc::AT_FDCWD, path.as_c_str())?)
    }),
    attempt("open_by_handle", FILES, by_handle),
    attempt("read_host_name", NAMES, |to| {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        when(name == to.host, "the host's name")
    }),
];

/// Turns a name between an own file and another's, and reads it all the while.
fn race(to: &Targets) -> Outcome {
    let own = "raced-own";
    fs::write(own, "mine")?;
    for _ in 0..200 {
        let _ = fs::remove_file("raced");
        let _ = symlink(own, "raced");
        let _ = fs::remove_file("raced");
        let _ = symlink(format!("{}/secret", to.other), "raced");
        if let Ok(bytes) = fs::read("raced")
            && secret(&bytes).is_ok()
        {
            return had("the secret");
        }
    }
    stopped("two hundred times the own file or nothing")
}

fn by_handle(to: &Targets) -> Outcome {
    let path = text(&to.file("open_by_handle"))?;
    let mut handle = halves(&[128]);
    handle.resize(256, 0);
    let mut mount = [0; 4];
    call!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_c_str(), &mut handle[..], &mut mount[..], 0)?;
    let near = fs::File::open(".")?;
    let fd = call!(libc::SYS_open_by_handle_at, near.as_raw_fd(), &mut handle[..], 0)?;
    let mut bytes = [0; SECRET.len()];
    call!(libc::SYS_pread64, fd, &mut bytes[..], 21, 0)?;
    secret(&bytes)
}
