//! A host with a server on it, and everything that belongs to others: built anew for each level.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::XattrFlags;
use rustix::io::FdFlags;

use super::{services, shared::Shared};
use crate::inside;
use crate::targets::{SECRET, Targets};

/// The host, and what holds its parts.
pub(super) struct World {
    pub(super) base: PathBuf,
    pub(super) targets: Targets,
    victim: Child,
    _shared: Shared,
    _held: Vec<OwnedFd>,
    /// The program for inside, to be linked into work directories.
    program: PathBuf,
}

impl World {
    /// Builds one in a new directory below `above`.
    pub(super) fn new(above: &Path, name: &str, program: &Path, setuid: &Path) -> io::Result<Self> {
        let base = above.join(name);
        fs::create_dir(&base)?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut to = Targets {
            base: text(base.clone()),
            outside: text(base.join("outside")),
            other: text(base.join("agents/other")),
            agents: text(base.join("agents")),
            server: i32::try_from(std::process::id()).unwrap_or_default(),
            // Never freed: it is there for as long as the server is.
            memory: String::leak(SECRET.to_owned()).as_ptr() as u64,
            shm: format!("/dev/shm/kode-escape-{}", std::process::id()),
            tmp: format!("/tmp/kode-escape-{}", std::process::id()),
            setuid: if setuid.exists() { text(setuid.to_owned()) } else { String::new() },
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            interface: interface().unwrap_or_default(),
            cgroup: control_groups().unwrap_or_default(),
            ..Targets::default()
        };
        files(&base, &to)?;
        (to.disk_numbers, to.disk) = disk(&base)?;
        services::open(&base, &mut to)?;
        let shared = Shared::make(&mut to)?;
        let mut held = leak(&base, &mut to)?;
        held.extend(terminal(&mut to)?);
        let victim = victim(&to)?;
        to.victim = i32::try_from(victim.id()).unwrap_or_default();
        // Paths beneath `/proc/<server>/cwd` lead here.
        std::env::set_current_dir(&base)?;
        Ok(Self { base, targets: to, victim, _shared: shared, _held: held, program: program.to_owned() })
    }

    /// Gives an agent the program and what it is to reach, with files that hosts obey beside them.
    pub(super) fn furnish(&self, agent: &str) -> io::Result<PathBuf> {
        let work = self.base.join("agents").join(agent);
        fs::create_dir_all(&work)?;
        let targets = Targets { own: work.to_string_lossy().into_owned(), ..self.targets.clone() };
        fs::write(work.join(crate::targets::FILE), serde_json::to_vec(&targets)?)?;
        let program = work.join(inside::PROGRAM);
        fs::hard_link(&self.program, &program).or_else(|_| fs::copy(&self.program, &program).map(drop))?;
        for directory in [".git/hooks", ".vscode"] {
            fs::create_dir_all(work.join(directory))?;
        }
        fs::write(work.join(".git/config"), "")?;
        fs::write(work.join(".envrc"), "")?;
        Ok(work)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        for path in [&self.targets.shm, &self.targets.tmp] {
            clear(Path::new(path));
        }
    }
}

/// Removes a file, and those of that name and a number that a killed attempt left beside it.
fn clear(path: &Path) {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return };
    let is_ours = |entry: &fs::DirEntry| {
        let (found, name) = (entry.file_name(), name.to_string_lossy());
        found
            .to_string_lossy()
            .strip_prefix(&*name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    for entry in fs::read_dir(above).into_iter().flatten().flatten().filter(is_ours) {
        let _ = fs::remove_file(entry.path());
    }
}

fn files(base: &Path, to: &Targets) -> io::Result<()> {
    for directory in ["outside", "agents/other", "home", "bin", "project/.git/hooks", "empty"] {
        fs::create_dir_all(base.join(directory))?;
    }
    for attempt in inside::attempts() {
        private(Path::new(&to.file(attempt.name)))?;
    }
    let attribute = to.file("read_attribute_outside");
    // A file system without attributes has none to read.
    let _ = rustix::fs::setxattr(attribute, "user.kode", b"secret", XattrFlags::empty());
    for file in ["secret", "agents/other/secret", "home/.bashrc", "bin/server"] {
        private(&base.join(file))?;
    }
    private(Path::new(&to.shm))?;
    private(Path::new(&to.tmp))?;
    symlink("a target that is nobody's affair", base.join("a-link"))
}

fn private(path: &Path) -> io::Result<()> {
    fs::write(path, SECRET)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// What a library of the server's left open, without close-on-exec.
fn leak(base: &Path, to: &mut Targets) -> io::Result<Vec<OwnedFd>> {
    let file: OwnedFd = File::open(base.join("secret"))?.into();
    let kept: OwnedFd = File::open(base.join("secret"))?.into();
    let directory: OwnedFd = File::open(base.join("outside"))?.into();
    for leaked in [&file, &directory] {
        rustix::io::fcntl_setfd(leaked, FdFlags::empty())?;
    }
    (to.leaked, to.leaked_dir, to.server_fd) = (file.as_raw_fd(), directory.as_raw_fd(), kept.as_raw_fd());
    Ok(vec![file, directory, kept])
}

fn terminal(to: &mut Targets) -> io::Result<Vec<OwnedFd>> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let Ok(master) = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC) else {
        return Ok(Vec::new());
    };
    grantpt(&master)?;
    unlockpt(&master)?;
    to.terminal = ptsname(master.as_fd(), Vec::new())?.to_string_lossy().into_owned();
    Ok(vec![master])
}

/// A process of another agent, in that one's directory.
fn victim(to: &Targets) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sleep");
    command.arg("600").current_dir(&to.other).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn disk(base: &Path) -> io::Result<((u32, u32), String)> {
    let device = fs::metadata(base)?.dev();
    let numbers = (rustix::fs::major(device), rustix::fs::minor(device));
    let found = fs::read_dir("/dev")?.flatten().find(|entry| {
        entry
            .metadata()
            .is_ok_and(|data| data.rdev() == device && data.mode() & libc::S_IFMT == libc::S_IFBLK)
    });
    Ok((numbers, found.map(|entry| entry.path().to_string_lossy().into_owned()).unwrap_or_default()))
}

fn interface() -> Option<String> {
    let text = fs::read_to_string("/proc/net/dev").ok()?;
    let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.filter(|name| *name != "lo").map(str::to_owned).next()
}

fn control_groups() -> Option<String> {
    let text = fs::read_to_string("/proc/self/mounts").ok()?;
    let of = |kind: &str| {
        let fits = |line: &&str| line.split(' ').nth(2) == Some(kind);
        text.lines().find(fits).and_then(|line| line.split(' ').nth(1)).map(str::to_owned)
    };
    of("cgroup").or_else(|| of("cgroup2"))
}
