//! The system calls for which there is no safe wrapper. The only unsafe code of the workspace.
//!
//! Each function is one call and checks its answer. No rule about sandboxes belongs here.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::io::{Errno, Result};
use rustix::process::{Pid, Signal};
use rustix::thread::UnshareFlags;

fn checked(answer: libc::c_long) -> Result<libc::c_long> {
    // SAFETY: the thread's own errno, read directly after the call that may have set it.
    if answer < 0 { Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() })) } else { Ok(answer) }
}

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's id.
    Parent(Pid),
}

/// Copies the process, which must have one thread: the helper never starts a second one.
pub(crate) fn fork() -> Result<Fork> {
    // SAFETY: with one thread no lock is held by a thread that the child lacks.
    let pid = checked(unsafe { libc::fork() }.into())?;
    let pid = i32::try_from(pid).unwrap_or_default();
    Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Leaves the process without running anything that the old one registered.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing is run after it.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on. Whatever the caller held there must not be used any more.
pub(crate) fn close_from(first: RawFd) -> Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| Errno::INVAL)?;
    // SAFETY: takes plain numbers. The helper calls it before it owns any descriptor at or above `first`.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) }).map(drop)
}

/// Leaves namespaces; never with `CLONE_FILES`, so that descriptors stay what their owners think.
pub(crate) fn unshare(flags: UnshareFlags) -> Result<()> {
    let flags = flags.difference(UnshareFlags::FILES);
    // SAFETY: without CLONE_FILES no descriptor changes its meaning.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// What a mount is made to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MountAttributes<'a> {
    /// Bits to set.
    pub(crate) set: u64,
    /// A user namespace by which owners are seen.
    pub(crate) idmap: Option<BorrowedFd<'a>>,
}

/// Changes a mount's attributes, and with `deep` those of all mounts below.
pub(crate) fn mount_setattr(mount: impl AsFd, attributes: MountAttributes<'_>, deep: bool) -> Result<()> {
    let idmap = attributes.idmap.map_or(0, |_| libc::MOUNT_ATTR_IDMAP);
    let userns = attributes.idmap.map_or(0, |fd| u64::try_from(fd.as_raw_fd()).unwrap_or_default());
    let attr =
        libc::mount_attr { attr_set: attributes.set | idmap, attr_clr: 0, propagation: 0, userns_fd: userns };
    let flags = libc::AT_EMPTY_PATH | if deep { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, `attr` lives over the call and its size is told.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Drops every supplementary group.
pub(crate) fn clear_groups() -> Result<()> {
    // SAFETY: an empty list needs no memory.
    checked(unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) }).map(drop)
}

/// Gives a signal back its default action, and lets every signal through: what a parent had set is inherited
/// over exec otherwise, and Rust's runtime ignores SIGPIPE.
pub(crate) fn default_signals() -> Result<()> {
    // SAFETY: SIG_DFL has no handler that could be called; the set is initialised by sigemptyset.
    unsafe {
        for signal in 1..=31 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()).into()).map(drop)
    }
}

/// Takes the loopback interface of this network namespace up.
pub(crate) fn loopback_up(socket: impl AsFd) -> Result<()> {
    // SAFETY: `ifreq` is plain data; the name is short and ends in NULs.
    unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        checked(libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request).into())
            .map(drop)
    }
}

/// A system call by number, for attempts that are meant to be refused.
pub(crate) fn attempt(number: libc::c_long, arguments: [libc::c_long; 5]) -> Result<libc::c_long> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: callers pass plain numbers and NULs, for which the kernel answers an error rather than touch memory.
    checked(unsafe { libc::syscall(number, a, b, c, d, e) })
}

/// One argument of a [`call`].
#[derive(Debug)]
pub enum Word<'a> {
    /// A number, a descriptor, flags.
    Number(i64),
    /// Memory that the kernel reads or writes.
    Bytes(&'a mut [u8]),
    /// A path or a name.
    Text(&'a CStr),
}

impl From<i32> for Word<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Word<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a mut [u8]> for Word<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a CStr> for Word<'a> {
    fn from(text: &'a CStr) -> Self {
        Self::Text(text)
    }
}

/// A system call by number with memory of the caller's, for the battery of attempts that are meant to be refused.
/// Never to be used for anything else: what a call does beyond its arguments is the caller's care.
///
/// # Errors
/// What the kernel answers.
pub fn call(number: i64, words: &mut [Word<'_>]) -> Result<i64> {
    let mut values = [0; 6];
    for (value, word) in values.iter_mut().zip(words) {
        *value = match word {
            Word::Number(number) => *number,
            Word::Bytes(bytes) => bytes.as_mut_ptr() as libc::c_long,
            Word::Text(text) => text.as_ptr() as libc::c_long,
        };
    }
    let [a, b, c, d, e, f] = values;
    // SAFETY: memory that is named lives and is the caller's alone over the call; it says how long each piece is.
    checked(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// Has the kernel reap what ends below this process, which never asks how.
pub(crate) fn reap_by_itself() {
    // SAFETY: SIG_IGN has no handler that could be called.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Calls `exec` with descriptors as they are. Returns only where it failed.
pub(crate) fn exec(program: &str, arguments: &[String], env: &[(String, String)]) -> Errno {
    let texts = |texts: Vec<String>| -> Option<Vec<CString>> {
        texts.into_iter().map(|text| CString::new(text).ok()).collect()
    };
    let env = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (Some(program), Some(arguments), Some(env)) =
        (CString::new(program).ok(), texts(arguments.to_vec()), texts(env))
    else {
        return Errno::INVAL;
    };
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&arguments), pointers(&env));
    // SAFETY: both lists end in NULL and live until the call replaces the process or fails.
    checked(unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) }.into())
        .err()
        .unwrap_or(Errno::INVAL)
}

/// Asks for a signal when the parent dies.
pub(crate) fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}
