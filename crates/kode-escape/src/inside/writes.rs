//! Changing what belongs to others: their files, the server's, the machine's settings.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::ground::text;
use crate::attempt::{Attempt, Outcome, Stop, absent, attempt, had};

const FILES: &str = "others' files to change";
const META: &str = "the look of others' files to change";
const RUN: &str = "code of its own run by the server's user";
const MACHINE: &str = "the machine's settings, and code run by the kernel";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("write_absolute", FILES, |to| append(&to.file("write_absolute"))),
    attempt("write_through_symlink", FILES, |to| {
        symlink(to.file("write_through_symlink"), "write-link")?;
        append("write-link")
    }),
    attempt("write_through_hard_link", FILES, |to| {
        fs::hard_link(to.file("write_through_hard_link"), "write-hard-link")?;
        append("write-hard-link")
    }),
    attempt("write_by_server_root", FILES, |to| {
        append(&format!("/proc/{}/root{}", to.server, to.file("write_by_server_root")))
    }),
    attempt("write_in_other_directory", FILES, |to| create(&format!("{}/planted", to.other))),
    attempt("truncate_outside", FILES, |to| {
        let path = text(&to.file("truncate_outside"))?;
        had(super::ground::call!(libc::SYS_truncate, path.as_c_str(), 0)?)
    }),
    attempt("move_out_of_outside", FILES, |to| {
        fs::rename(to.file("move_out_of_outside"), "taken")?;
        super::ground::read("taken")
    }),
    attempt("move_into_outside", FILES, |to| {
        fs::write("to-plant", "mine")?;
        done(fs::rename("to-plant", to.file("move_into_outside")))
    }),
    attempt("exchange_with_outside", FILES, |to| {
        fs::write("to-exchange", "mine")?;
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(CWD, "to-exchange", CWD, to.file("exchange_with_outside"), flags)?;
        had("another's file in place of its own")
    }),
    attempt("unlink_outside", FILES, |to| done(fs::remove_file(to.file("unlink_outside")))),
    attempt("remove_directory_outside", FILES, |to| done(fs::remove_dir(format!("{}/empty", to.base)))),
    attempt("make_directory_outside", FILES, |to| done(fs::create_dir(format!("{}/made", to.outside)))),
    attempt("make_link_outside", FILES, |to| done(symlink("/", format!("{}/made-link", to.outside)))),
    attempt("make_hard_link_outside", FILES, |to| {
        fs::write("to-link", "mine")?;
        done(fs::hard_link("to-link", format!("{}/made-hard-link", to.outside)))
    }),
    attempt("make_pipe_outside", FILES, |to| {
        let path = format!("{}/made-pipe", to.outside);
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0)?;
        had("a pipe that readers wait at")
    }),
    attempt("move_own_directory", FILES, |to| {
        let aside = format!("{}-aside", to.own);
        fs::rename(&to.own, &aside)?;
        done(fs::rename(&aside, &to.own))
    }),
    attempt("lock_outside", FILES, |to| {
        let file = File::open(to.file("lock_outside"))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        had("a lock that the server waits for")
    }),
    attempt("write_shared_memory_file", FILES, |to| append(&to.shm)),
    attempt("write_temporary_file", FILES, |to| append(&to.tmp)),
    attempt("write_by_inherited_directory", FILES, |to| {
        let name = text("planted-by-descriptor")?;
        let flags = libc::O_CREAT | libc::O_WRONLY;
        had(super::ground::call!(libc::SYS_openat, to.leaked_dir, name.as_c_str(), flags, 0o600)?)
    }),
    attempt("change_mode_outside", META, |to| {
        done(fs::set_permissions(to.file("change_mode_outside"), Permissions::from_mode(0o644)))
    }),
    attempt("change_owner_outside", META, |to| {
        let path = to.file("change_owner_outside");
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        rustix::fs::chownat(CWD, path, Some(user), Some(group), AtFlags::empty())?;
        had("its owner")
    }),
    attempt("change_times_outside", META, |to| {
        let zero = Timespec { tv_sec: 1, tv_nsec: 0 };
        let times = Timestamps { last_access: zero, last_modification: zero };
        rustix::fs::utimensat(CWD, to.file("change_times_outside"), &times, AtFlags::empty())?;
        had("its times")
    }),
    attempt("change_attribute_outside", META, |to| {
        let path = to.file("change_attribute_outside");
        rustix::fs::setxattr(path, "user.changed", b"mine", XattrFlags::empty())?;
        had("its attributes")
    }),
    attempt("write_servers_shell_settings", RUN, |to| append(&format!("{}/home/.bashrc", to.base))),
    attempt("write_servers_keys", RUN, |to| create(&format!("{}/home/authorized_keys", to.base))),
    attempt("write_servers_program", RUN, |to| append(&format!("{}/bin/server", to.base))),
    attempt("plant_program_in_path", RUN, |to| create(&format!("{}/bin/ls", to.base))),
    attempt("plant_git_hook_outside", RUN, |to| {
        create(&format!("{}/project/.git/hooks/post-checkout", to.base))
    }),
    attempt("write_server_memory", RUN, |to| {
        let memory = OpenOptions::new().write(true).open(format!("/proc/{}/mem", to.server))?;
        std::os::unix::fs::FileExt::write_all_at(&memory, b"t", to.memory)?;
        had("a byte of the server's memory")
    }),
    attempt("write_system_program", RUN, |_| create_and_remove("/usr/local/bin/kode-escape-was-here")),
    attempt("write_system_settings", RUN, |_| create_and_remove("/etc/kode-escape-was-here")),
    attempt("write_system_root", RUN, |_| create_and_remove("/kode-escape-was-here")),
    attempt("write_core_pattern", MACHINE, |_| write_back("/proc/sys/kernel/core_pattern")),
    attempt("write_module_loader", MACHINE, |_| write_back("/proc/sys/kernel/modprobe")),
    attempt("write_kernel_setting", MACHINE, |_| write_back("/proc/sys/kernel/panic")),
    attempt("write_hotplug_helper", MACHINE, |_| write_back("/sys/kernel/uevent_helper")),
    attempt("write_device_setting", MACHINE, |_| write_back("/sys/kernel/mm/transparent_hugepage/enabled")),
    attempt("write_release_agent", MACHINE, |to| write_back(&format!("{}/release_agent", to.cgroup))),
    attempt("leave_control_group", MACHINE, |to| {
        let pid = std::process::id().to_string();
        done(fs::write(format!("{}/cgroup.procs", to.cgroup), pid))
    }),
    attempt("make_control_group", MACHINE, |to| {
        let group = format!("{}/kode-escape-{}", to.cgroup, std::process::id());
        fs::create_dir(&group)?;
        done(fs::remove_dir(&group))
    }),
    attempt("press_system_key", MACHINE, |_| {
        // "h" prints a help text into the kernel's log.
        exists("/proc/sysrq-trigger")?;
        done(fs::write("/proc/sysrq-trigger", "h"))
    }),
    attempt("change_server_memory_score", MACHINE, |to| {
        write_back(&format!("/proc/{}/oom_score_adj", to.server))
    }),
];

fn done(made: std::io::Result<()>) -> Outcome {
    made?;
    had("it was done")
}

fn append(path: &str) -> Outcome {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(b"mine")?;
    had(file.metadata()?.size())
}

fn create(path: &str) -> Outcome {
    File::create_new(path)?;
    had("a file there")
}

fn create_and_remove(path: &str) -> Outcome {
    File::create(path)?;
    done(fs::remove_file(path))
}

/// A setting is written as it is: the right to do so is what counts.
fn write_back(path: &str) -> Outcome {
    exists(path)?;
    let text = fs::read_to_string(path)?;
    // What offers choices shows them all, with the one in force in brackets.
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let value = chosen.map_or(text.as_str(), |(value, _)| value);
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())?;
    had("a setting")
}

fn exists(path: &str) -> Result<(), Stop> {
    if fs::metadata(path).is_ok() { Ok(()) } else { absent(format!("there is no {path}")) }
}
