//! The root that a sandboxed process sees: the system's programs for reading, its work directory at `/work`, and
//! nothing else of the host's. Every part is taken hold of by descriptor before the root is changed.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::process::{Pid, Signal};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};

use super::init::Inner;
use super::{Failed, at, etc};
use crate::policy::Policy;
use crate::sys::{self, Fork, MountAttributes};

/// Where the work directory is in a root of its own.
const WORK: &str = "/work";
/// Directories of the system that are shown, for reading. `/opt`, `/home`, `/root`, `/srv`, `/var` are not.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// Devices that do nothing but what every program expects.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// What in-memory directories may hold.
const TMP_BYTES: &str = "268435456";
const SMALL_BYTES: &str = "67108864";
const INODES: &str = "65536";
/// What `/proc` tells of the whole machine that is nobody's affair: keys of the server's user, where the kernel is.
const PRIVATE: [&str; 9] = [
    "cmdline",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "latency_stats",
    "modules",
    "sched_debug",
    "timer_list",
];
/// Files that programs of the host's would run or obey, below the work directory.
const PROTECTED: [&str; 9] = [
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".git/modules",
    ".git/worktrees",
    ".gitmodules",
    ".envrc",
    ".vscode",
    ".mcp.json",
];

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const TAME: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// Where a process finds its things.
pub(super) struct Place {
    /// Its work directory, and home.
    pub(super) home: String,
    /// Its directory for temporary files.
    pub(super) tmp: String,
    /// Allowed paths.
    pub(super) allow: Vec<String>,
}

/// Without a root of its own: the work directory is where the host has it.
pub(super) fn stay(work: &OwnedFd) -> Result<Place, Failed> {
    let failed = at("work directory");
    let link = format!("/proc/self/fd/{}", work.as_raw_fd());
    let home = std::fs::read_link(link).map_err(at("work directory"))?;
    let home =
        home.into_os_string().into_string().map_err(|_| at("work directory")("its path is not UTF-8"))?;
    rustix::process::fchdir(work).map_err(&failed)?;
    match fs::mkdirat(work, ".tmp", Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(Place { tmp: format!("{home}/.tmp"), home, allow: Vec::new() })
}

/// Builds the root and enters it.
pub(super) fn enter(policy: &Policy, inner: &Inner) -> Result<Place, Failed> {
    match &inner.holder {
        Some(holder) => move_into_thread_name_spaces(holder.as_fd(), ThreadNameSpaceType::MOUNT),
        None => sys::unshare(UnshareFlags::NEWNS),
    }
    .map_err(at("mount namespace"))?;
    // The path of its group is nobody's affair; a kernel without such namespaces shows it.
    let _ = sys::unshare(UnshareFlags::NEWCGROUP);
    // Nothing that is mounted from here on is seen outside.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at("mount namespace"))?;
    let host = Host::take(policy, inner)?;
    let umask = rustix::process::umask(Mode::empty());
    let root = memory("mode=755", SMALL_BYTES).map_err(at("root"))?;
    // Any directory will do: it is left behind together with the old root.
    put(&root, CWD, "/usr").map_err(at("root"))?;
    host.place(&root)?;
    rustix::process::umask(umask);
    protect(&root)?;
    sys::mount_setattr(&root, MountAttributes { set: READ_ONLY | TAME, idmap: None }, false)
        .map_err(at("root"))?;
    rustix::process::fchdir(&root).map_err(at("root"))?;
    rustix::process::pivot_root(".", ".").map_err(at("root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(at("root"))?;
    rustix::process::chdir(WORK).map_err(at("work directory"))?;
    Ok(Place { home: WORK.into(), tmp: "/tmp".into(), allow: policy.allow.clone() })
}

/// Mounts of the host's, held by descriptor.
struct Host {
    /// Where each goes.
    mounts: Vec<(String, OwnedFd)>,
    /// Links where the host has links, such as `/bin` to `usr/bin`.
    links: Vec<(String, String)>,
    masks: Vec<String>,
}

impl Host {
    fn take(policy: &Policy, inner: &Inner) -> Result<Self, Failed> {
        let (mut mounts, mut links) = (Vec::new(), Vec::new());
        for path in SYSTEM {
            match fs::readlinkat(CWD, path, Vec::new()) {
                Ok(target) => links.push((path.to_owned(), target.to_string_lossy().into_owned())),
                Err(Errno::INVAL) => {
                    mounts.push((path.to_owned(), clone(CWD, path, READ_ONLY | TAME).map_err(at("system"))?));
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(at("system")(error)),
            }
        }
        for path in etc::SHOWN {
            match clone(CWD, path, READ_ONLY | TAME | libc::MOUNT_ATTR_NOEXEC) {
                Ok(mount) => mounts.push((path.to_owned(), mount)),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(at("system")(error)),
            }
        }
        for name in DEVICES {
            let path = format!("/dev/{name}");
            let device = clone(CWD, &path, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC);
            mounts.push((path, device.map_err(at("devices"))?));
        }
        let own = |fd: &OwnedFd| own(fd, inner.idmap.as_ref());
        for (path, fd) in policy.allow.iter().zip(&inner.allow) {
            mounts.push((path.clone(), own(fd).map_err(at("allowed path"))?));
        }
        mounts.push((WORK.into(), own(&inner.work).map_err(at("own_uid"))?));
        let shown = |mask: &&String| SYSTEM.iter().any(|path| is_within(mask, path));
        Ok(Self { mounts, links, masks: policy.mask.iter().filter(shown).cloned().collect() })
    }

    fn place(self, root: &OwnedFd) -> Result<(), Failed> {
        let at_root = at("root");
        for (path, target) in &self.links {
            fs::symlinkat(target, root, inside(path)).map_err(&at_root)?;
        }
        for path in ["/tmp", "/run", "/proc", "/dev", "/dev/shm", "/etc", "/var", WORK] {
            directory(root, path).map_err(&at_root)?;
        }
        fs::symlinkat("../tmp", root, "var/tmp").map_err(&at_root)?;
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            fs::symlinkat(target, root, format!("dev/{name}")).map_err(&at_root)?;
        }
        for (path, text) in etc::MADE {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::EXCL | OFlags::CLOEXEC;
            let file =
                fs::openat(root, inside(path), flags, Mode::from_raw_mode(0o644)).map_err(at("etc"))?;
            std::fs::File::from(file).write_all(text.as_bytes()).map_err(at("etc"))?;
        }
        for (path, mode, bytes) in [
            ("/tmp", "mode=1777", TMP_BYTES),
            ("/dev/shm", "mode=1777", SMALL_BYTES),
            ("/run", "mode=755", SMALL_BYTES),
        ] {
            put(&memory(mode, bytes).map_err(at("memory"))?, root, inside(path)).map_err(at("memory"))?;
        }
        // Behind the directories in memory: an allowed path may lie below one of them.
        for (path, mount) in self.mounts {
            let target = Failed { stage: "root".into(), why: format!("{path} cannot be shown") };
            point(root, &path, &mount)
                .and_then(|()| put(&mount, root, inside(&path)))
                .map_err(|error| Failed { why: format!("{}: {error}", target.why), ..target.clone() })?;
        }
        for path in self.masks {
            let empty = memory("mode=000", "4096").map_err(at("mask"))?;
            put(&empty, root, inside(&path)).map_err(at("mask"))?;
        }
        put(&processes().map_err(at("proc"))?, root, "proc").map_err(at("proc"))?;
        PRIVATE.iter().try_for_each(|name| hide(root, &format!("proc/{name}")).map_err(at("proc")))
    }
}

/// Puts an empty file over one, where it is.
fn hide(root: &OwnedFd, path: &str) -> rustix::io::Result<()> {
    if fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).is_err() {
        return Ok(());
    }
    let attributes = READ_ONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
    put(&clone(CWD, "/dev/null", attributes)?, root, path)
}

/// A copy of the mount of a path, in nobody's tree yet.
fn clone(dir: impl AsFd, path: &str, attributes: u64) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = open_tree(dir, path, flags)?;
    sys::mount_setattr(&mount, MountAttributes { set: attributes, idmap: None }, true)?;
    Ok(mount)
}

/// A directory of the agent's own, for writing; seen by the sandbox's user as its own.
fn own(fd: &OwnedFd, idmap: Option<&OwnedFd>) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    // With what is mounted below, as user namespaces must not uncover what a mount hides; but only the directory
    // itself can be given another view.
    let flags = if idmap.is_some() { flags } else { flags | OpenTreeFlags::AT_RECURSIVE };
    let mount = open_tree(&again(fd)?, "", flags)?;
    sys::mount_setattr(
        &mount,
        MountAttributes { set: TAME, idmap: idmap.map(AsFd::as_fd) },
        idmap.is_none(),
    )?;
    Ok(mount)
}

/// Opens a directory once more, in this mount namespace: a descriptor stays in the one that it was opened in, from
/// which nothing can be taken. It must be the same directory.
fn again(fd: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let path = fs::readlinkat(CWD, format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = fs::openat(CWD, path, flags, Mode::empty())?;
    let place = |stat: fs::Stat| (stat.st_dev, stat.st_ino);
    if place(fs::fstat(fd)?) == place(fs::fstat(&opened)?) { Ok(opened) } else { Err(Errno::STALE) }
}

fn put(mount: impl AsFd, dir: impl AsFd, path: &str) -> rustix::io::Result<()> {
    move_mount(mount, "", dir, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// A file system in memory.
fn memory(mode: &str, bytes: &str) -> rustix::io::Result<OwnedFd> {
    let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some((key, value)) = mode.split_once('=') {
        fsconfig_set_string(fs.as_fd(), key, value)?;
    }
    fsconfig_set_string(fs.as_fd(), "size", bytes)?;
    // An empty file takes memory of the kernel's own.
    fsconfig_set_string(fs.as_fd(), "nr_inodes", INODES)?;
    fsconfig_create(fs.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// The view of this pid namespace, for reading.
fn processes() -> rustix::io::Result<OwnedFd> {
    let fs = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(fs.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_RDONLY;
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Makes a directory with those above it.
fn directory(root: &OwnedFd, path: &str) -> rustix::io::Result<()> {
    let path = inside(path);
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    for end in ends {
        match fs::mkdirat(root, &path[..end], Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the place where a mount goes: a directory or a file as it is one.
fn point(root: &OwnedFd, path: &str, mount: &OwnedFd) -> rustix::io::Result<()> {
    let is_directory = FileType::from_raw_mode(fs::fstat(mount)?.st_mode).is_dir();
    if is_directory {
        return directory(root, path);
    }
    if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        directory(root, above)?;
    }
    match fs::openat(root, inside(path), OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes what is there of the protected names read-only. A link on the way is not followed.
fn protect(root: &OwnedFd) -> Result<(), Failed> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let failed = at("protected names");
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let work = fs::openat(root, inside(WORK), flags, Mode::empty()).map_err(&failed)?;
    for name in PROTECTED {
        let Ok(found) = fs::openat2(&work, name, flags | OFlags::NOFOLLOW, Mode::empty(), how) else {
            continue;
        };
        let Ok(stat) = fs::statat(&found, "", AtFlags::EMPTY_PATH) else { continue };
        if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Directory | FileType::RegularFile) {
            continue;
        }
        let mask = clone(&found, "", READ_ONLY | TAME).map_err(&failed)?;
        let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&mask, "", &found, "", onto).map_err(&failed)?;
    }
    Ok(())
}

/// A user namespace that maps `inner` to `outer`, held by nothing but its descriptor. For a helper of root's only.
pub(super) fn user_namespace(inner: u32, outer: u32) -> Result<OwnedFd, Failed> {
    let failed = at("own_uid");
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(&failed)?;
    let child = match sys::fork().map_err(&failed)? {
        Fork::Child => {
            let said: &[u8] = if sys::unshare(UnshareFlags::NEWUSER).is_ok() { b"y" } else { b"n" };
            let _ = rustix::io::write(&write, said);
            loop {
                let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 60, tv_nsec: 0 });
            }
        }
        Fork::Parent(child) => child,
    };
    let mut said = [0];
    let taken = rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut said)).map_err(&failed);
    let made = taken.and_then(|_| {
        if said != *b"y" {
            return Err(failed(Errno::PERM));
        }
        map_ids(child, inner, outer)?;
        let path = format!("/proc/{}/ns/user", child.as_raw_nonzero());
        fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(&failed)
    });
    let _ = rustix::process::kill_process(child, Signal::KILL);
    let _ = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
    made
}

/// Says who a user of another process's new namespace is outside.
pub(super) fn map_ids(process: Pid, inner: u32, outer: u32) -> Result<(), Failed> {
    let write = |name: &str, text: String| {
        std::fs::write(format!("/proc/{}/{name}", process.as_raw_nonzero()), text)
            .map_err(|error| Failed { stage: "own_uid".into(), why: format!("{name}: {error}") })
    };
    write("uid_map", format!("{inner} {outer} 1"))?;
    write("gid_map", format!("{inner} {outer} 1"))
}
