//! What is left in the work directory for others to fall over: programs that take the server's rights, files that
//! the host's programs obey. And what is meant to work there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use rustix::fs::{CWD, FileType, IFlags, MemfdFlags, Mode, OFlags, ResolveFlags, XattrFlags};

use super::ground::{call, text};
use crate::attempt::{Attempt, Outcome, attempt, had, stopped, when};

const RIGHTS: &str = "a file on the host's disk that runs with its owner's rights: the server's";
const HOST: &str = "code run by the host's programs that work here";
const STUCK: &str = "files that the server cannot remove";
const OWN: &str = "nothing: programs are meant to";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("set_user_id_by_chmod", RIGHTS, |_| {
        fs::write("chmod-suid", "x")?;
        fs::set_permissions("chmod-suid", Permissions::from_mode(0o4755))?;
        has_bits("chmod-suid", 0o4000)
    }),
    attempt("set_group_id_by_chmod", RIGHTS, |_| {
        fs::write("chmod-sgid", "x")?;
        fs::set_permissions("chmod-sgid", Permissions::from_mode(0o2755))?;
        has_bits("chmod-sgid", 0o2000)
    }),
    attempt("set_user_id_by_fchmod", RIGHTS, |_| {
        let file = File::create("fchmod-suid")?;
        file.set_permissions(Permissions::from_mode(0o6755))?;
        has_bits("fchmod-suid", 0o4000)
    }),
    attempt("set_user_id_by_fchmodat", RIGHTS, |_| {
        fs::write("fchmodat-suid", "x")?;
        let name = text("fchmodat-suid")?;
        call!(libc::SYS_fchmodat, libc::AT_FDCWD, name.as_c_str(), 0o4755)?;
        has_bits("fchmodat-suid", 0o4000)
    }),
    attempt("set_user_id_by_fchmodat2", RIGHTS, |_| {
        fs::write("fchmodat2-suid", "x")?;
        let name = text("fchmodat2-suid")?;
        call!(libc::SYS_fchmodat2, libc::AT_FDCWD, name.as_c_str(), 0o4755, 0)?;
        has_bits("fchmodat2-suid", 0o4000)
    }),
    attempt("set_user_id_by_open", RIGHTS, |_| {
        let flags = OFlags::CREATE | OFlags::RDWR;
        rustix::fs::openat(CWD, "open-suid", flags, Mode::from_raw_mode(0o4755))?;
        has_bits("open-suid", 0o4000)
    }),
    attempt("set_user_id_by_creat", RIGHTS, |_| {
        let name = text("creat-suid")?;
        call!(libc::SYS_creat, name.as_c_str(), 0o4755)?;
        has_bits("creat-suid", 0o4000)
    }),
    attempt("set_user_id_by_openat2", RIGHTS, |_| {
        let (flags, mode) = (OFlags::CREATE | OFlags::RDWR, Mode::from_raw_mode(0o4755));
        rustix::fs::openat2(CWD, "openat2-suid", flags, mode, ResolveFlags::empty())?;
        has_bits("openat2-suid", 0o4000)
    }),
    attempt("set_user_id_by_unnamed_file", RIGHTS, |_| {
        let flags = OFlags::TMPFILE | OFlags::RDWR;
        let file = rustix::fs::openat(CWD, ".", flags, Mode::from_raw_mode(0o4755))?;
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(CWD, link, CWD, "tmpfile-suid", rustix::fs::AtFlags::SYMLINK_FOLLOW)?;
        has_bits("tmpfile-suid", 0o4000)
    }),
    attempt("set_user_id_by_mknod", RIGHTS, |_| {
        rustix::fs::mknodat(CWD, "mknod-suid", FileType::RegularFile, Mode::from_raw_mode(0o4755), 0)?;
        has_bits("mknod-suid", 0o4000)
    }),
    attempt("give_file_capabilities", RIGHTS, |_| {
        fs::write("capable", "x")?;
        // Version 2, effective, with CAP_DAC_OVERRIDE.
        let value = super::ground::halves(&[0x0200_0001, 2, 0, 0, 0]);
        rustix::fs::setxattr("capable", "security.capability", &value, XattrFlags::empty())?;
        had("a file with capabilities")
    }),
    attempt("give_file_away", RIGHTS, |_| {
        fs::write("given", "x")?;
        let user = rustix::process::Uid::from_raw(54_321);
        rustix::fs::chownat(CWD, "given", Some(user), None, rustix::fs::AtFlags::empty())?;
        had("a file of somebody else's")
    }),
    attempt("make_device", RIGHTS, |to| {
        let device = rustix::fs::makedev(to.disk_numbers.0, to.disk_numbers.1);
        rustix::fs::mknodat(CWD, "device", FileType::BlockDevice, Mode::RUSR, device)?;
        had("the disk as a file")
    }),
    attempt("make_file_immutable", STUCK, |_| {
        let file = File::create("immutable")?;
        rustix::fs::ioctl_setflags(&file, IFlags::IMMUTABLE)?;
        rustix::fs::ioctl_setflags(&file, IFlags::empty())?;
        had("a file that cannot be removed")
    }),
    attempt("make_trusted_attribute", STUCK, |_| {
        fs::write("trusted", "x")?;
        rustix::fs::setxattr("trusted", "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
        had("an attribute that the kernel trusts")
    }),
    attempt("write_own_git_hook", HOST, |_| {
        fs::write(".git/hooks/post-checkout", "#!/bin/sh\n")?;
        had("a hook")
    }),
    attempt("write_own_git_config", HOST, |_| append(".git/config")),
    attempt("write_own_envrc", HOST, |_| append(".envrc")),
    attempt("write_own_editor_settings", HOST, |_| {
        fs::write(".vscode/tasks.json", "{}")?;
        had("a task")
    }),
    attempt("remove_own_git_hooks", HOST, |_| {
        fs::remove_dir_all(".git/hooks")?;
        had("hooks of its own")
    }),
    attempt("replace_own_envrc", HOST, |_| {
        fs::write("envrc-new", "mine")?;
        fs::rename("envrc-new", ".envrc")?;
        had("an .envrc of its own")
    }),
    attempt("move_git_aside", OWN, |_| {
        fs::rename(".git", "git-aside")?;
        fs::rename("git-aside", ".git")?;
        had("room for another repository")
    }),
    attempt("execute_what_was_built", OWN, |_| {
        fs::copy("/bin/true", "built").or_else(|_| fs::copy("/usr/bin/true", "built"))?;
        fs::set_permissions("built", Permissions::from_mode(0o700))?;
        when(Command::new("./built").status()?.success(), "a program of its own ran")
    }),
    attempt("execute_memory", OWN, |_| {
        let memory = rustix::fs::memfd_create("program", MemfdFlags::empty())?;
        let program = fs::read("/usr/bin/true").or_else(|_| fs::read("/bin/true"))?;
        File::from(memory.try_clone()?).write_all(&program)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        when(Command::new(path).status()?.success(), "a program that was never in a file ran")
    }),
];

fn has_bits(path: &str, bits: u32) -> Outcome {
    match fs::metadata(path)?.mode() & bits {
        0 => stopped("the bits are not there"),
        _ => had("the bits are on the disk"),
    }
}

fn append(path: &str) -> Outcome {
    OpenOptions::new().append(true).open(path)?.write_all(b"#mine\n")?;
    had("a line in it")
}
