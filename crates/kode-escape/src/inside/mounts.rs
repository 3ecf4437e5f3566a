//! Mounts: to uncover what is hidden, to make writable what is not, to leave the root.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use super::ground::{call, halves, text, words};
use super::namespaces::unshare;
use crate::attempt::{Attempt, Outcome, Stop, attempt, had};

const COVER: &str = "other mounts: what is hidden shown, what is read-only written";
const ROOT: &str = "another root";
const DISK: &str = "the host's disk, with every file";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("mount_memory", COVER, |_| mount("tmpfs", "tmpfs", 0)),
    attempt("mount_bind", COVER, |_| mount("/", "", libc::MS_BIND | libc::MS_REC)),
    attempt("mount_processes", COVER, |_| {
        yard()?;
        let _ = unshare(libc::CLONE_NEWPID);
        // The first process of the new namespace is the one that may.
        mount_here("proc", "proc", 0)
    }),
    attempt("mount_settings", COVER, |_| mount("sysfs", "sysfs", 0)),
    attempt("mount_overlay", COVER, |_| {
        yard()?;
        for directory in ["overlay-upper", "overlay-work", "overlay-lower"] {
            fs::create_dir(directory).or_else(exists)?;
        }
        let options = text("lowerdir=overlay-lower,upperdir=overlay-upper,workdir=overlay-work")?;
        let (kind, place) = (text("overlay")?, text(place()?)?);
        had(call!(
            libc::SYS_mount,
            kind.as_c_str(),
            place.as_c_str(),
            kind.as_c_str(),
            0,
            options.as_c_str()
        )?)
    }),
    attempt("mount_disk", DISK, |to| {
        yard()?;
        mount_here(&to.disk, "ext4", libc::MS_RDONLY)
    }),
    attempt("mount_control_groups", COVER, |_| mount("cgroup2", "cgroup2", 0)),
    attempt("mount_queues", COVER, |_| {
        yard()?;
        let _ = unshare(libc::CLONE_NEWIPC);
        mount_here("mqueue", "mqueue", 0)
    }),
    attempt("change_mount", COVER, |_| {
        yard()?;
        let root = text("/")?;
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NOSUID;
        had(call!(libc::SYS_mount, 0, root.as_c_str(), 0, flags as i64, 0)?)
    }),
    attempt("change_propagation", COVER, |_| {
        yard()?;
        let root = text("/")?;
        had(call!(libc::SYS_mount, 0, root.as_c_str(), 0, (libc::MS_REC | libc::MS_SLAVE) as i64, 0)?)
    }),
    attempt("unmount", COVER, |_| {
        yard()?;
        mount_here("tmpfs", "tmpfs", 0)?;
        let place = text(place()?)?;
        had(call!(libc::SYS_umount2, place.as_c_str(), libc::MNT_DETACH)?)
    }),
    attempt("clone_mount", COVER, |_| {
        yard()?;
        let root = text("/usr")?;
        let flags = 1 | libc::AT_RECURSIVE;
        had(call!(libc::SYS_open_tree, libc::AT_FDCWD, root.as_c_str(), flags)?)
    }),
    attempt("clone_mount_with_attributes", COVER, |_| {
        yard()?;
        let root = text("/usr")?;
        let mut attributes = words(&[1, 0, 0, 0]);
        let flags = 1 | libc::AT_RECURSIVE;
        // open_tree_attr, of Linux 6.15.
        had(call!(467, libc::AT_FDCWD, root.as_c_str(), flags, &mut attributes[..], 32)?)
    }),
    attempt("move_mount", COVER, |_| {
        yard()?;
        let (from, place, empty) = (text("/usr")?, text(place()?)?, text("")?);
        let flags = 1 | libc::AT_RECURSIVE;
        let fd = call!(libc::SYS_open_tree, libc::AT_FDCWD, from.as_c_str(), flags)?;
        had(call!(libc::SYS_move_mount, fd, empty.as_c_str(), libc::AT_FDCWD, place.as_c_str(), 4)?)
    }),
    attempt("open_file_system", COVER, |_| {
        yard()?;
        let kind = text("tmpfs")?;
        had(call!(libc::SYS_fsopen, kind.as_c_str(), 0)?)
    }),
    attempt("pick_file_system", COVER, |_| {
        yard()?;
        let root = text("/")?;
        had(call!(libc::SYS_fspick, libc::AT_FDCWD, root.as_c_str(), 0)?)
    }),
    attempt("change_mount_attributes", COVER, |_| {
        yard()?;
        let root = text("/")?;
        let mut attributes = words(&[2, 0, 0, 0]);
        had(call!(libc::SYS_mount_setattr, libc::AT_FDCWD, root.as_c_str(), 0, &mut attributes[..], 32)?)
    }),
    attempt("list_mounts", "what is mounted where", |_| {
        let mut request = words(&[24, u64::MAX, 0]);
        let mut found = vec![0; 512];
        had(call!(458, &mut request[..], &mut found[..], 8, 0)?)
    }),
    attempt("change_root", ROOT, |_| {
        yard()?;
        let place = text(place()?)?;
        had(call!(libc::SYS_chroot, place.as_c_str())?)
    }),
    attempt("leave_root_by_descriptor", ROOT, |to| {
        yard()?;
        let above = File::open(".")?;
        let place = text(place()?)?;
        call!(libc::SYS_chroot, place.as_c_str())?;
        call!(libc::SYS_fchdir, above.as_raw_fd())?;
        for _ in 0..64 {
            std::env::set_current_dir("..")?;
        }
        super::ground::read(&format!(".{}/secret", to.other))
    }),
    attempt("pivot_root", ROOT, |_| {
        yard()?;
        mount_here("tmpfs", "tmpfs", 0)?;
        std::env::set_current_dir(place()?)?;
        let here = text(".")?;
        had(call!(libc::SYS_pivot_root, here.as_c_str(), here.as_c_str())?)
    }),
    attempt("open_disk", DISK, |to| {
        File::open(&to.disk)?;
        had("its bytes")
    }),
    attempt("make_disk_device_and_open_it", DISK, |to| {
        let (mode, kind) = (rustix::fs::Mode::RUSR, rustix::fs::FileType::BlockDevice);
        let device = rustix::fs::makedev(to.disk_numbers.0, to.disk_numbers.1);
        let _ = fs::remove_file("disk");
        rustix::fs::mknodat(rustix::fs::CWD, "disk", kind, mode, device)?;
        File::open("disk")?;
        had("its bytes")
    }),
    attempt("tune_quota", DISK, |to| {
        let disk = text(&to.disk)?;
        let mut info = halves(&[0; 64]);
        // Q_GETINFO for users; where quotas are off, the kernel says so after it has let the caller in.
        super::ground::reaches_kernel(call!(
            libc::SYS_quotactl,
            0x8000_0500_u32 as i32,
            disk.as_c_str(),
            0,
            &mut info[..]
        ))
    }),
];

/// A mount namespace of its own, so that nothing outside changes, with the rights that come with it.
fn yard() -> Result<(), Stop> {
    unshare(libc::CLONE_NEWNS)?;
    let root = text("/")?;
    let flags = (libc::MS_REC | libc::MS_PRIVATE) as i64;
    call!(libc::SYS_mount, 0, root.as_c_str(), 0, flags, 0)?;
    Ok(())
}

fn place() -> Result<&'static str, Stop> {
    fs::create_dir("mount-point").or_else(exists)?;
    Ok("mount-point")
}

fn exists(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn mount(from: &str, kind: &str, flags: u64) -> Outcome {
    yard()?;
    if kind == "sysfs" {
        // Whose network namespace it is decides.
        let _ = unshare(libc::CLONE_NEWNET);
    }
    mount_here(from, kind, flags)
}

fn mount_here(from: &str, kind: &str, flags: u64) -> Outcome {
    let (from, place, kind) = (text(from)?, text(place()?)?, text(kind)?);
    let flags = i64::try_from(flags).unwrap_or_default();
    had(call!(libc::SYS_mount, from.as_c_str(), place.as_c_str(), kind.as_c_str(), flags, 0)?)
}
