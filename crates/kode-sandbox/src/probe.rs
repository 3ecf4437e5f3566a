//! Attempts to break out, made once at each level from inside: what a report says is what was tried. They are made
//! by the process that would otherwise have become the shell, with nothing but system calls.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys;

/// How long a connection is tried.
const PATIENCE: Duration = Duration::from_millis(300);

/// What there is to reach outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// The server's process.
    pub(crate) server: i32,
    /// A file outside of the work directory that the server's user may read and write.
    pub(crate) file: String,
    /// A port of the host's on which something listens.
    pub(crate) tcp: SocketAddr,
    /// The name of an abstract socket on which something listens.
    pub(crate) abstract_name: String,
}

/// Makes every attempt and tells on the standard output, as one JSON object, which of them succeeded.
pub(crate) fn attempt_all(targets: &Targets) {
    let succeeded: BTreeMap<&str, bool> =
        attempts().iter().map(|(name, attempt)| (*name, attempt(targets))).collect();
    if let Ok(text) = serde_json::to_vec(&succeeded) {
        let _ = std::io::stdout().write_all(&text);
        let _ = std::io::stdout().flush();
    }
}

type Attempt = fn(&Targets) -> bool;

fn attempts() -> [(&'static str, Attempt); 18] {
    [
        ("read_outside", |to| File::open(&to.file).is_ok()),
        ("write_outside", |to| OpenOptions::new().append(true).open(&to.file).is_ok()),
        ("chmod_outside", |to| std::fs::set_permissions(&to.file, Permissions::from_mode(0o600)).is_ok()),
        ("read_server_environment", |to| {
            server(to).is_some_and(|pid| std::fs::read(format!("/proc/{pid}/environ")).is_ok())
        }),
        ("read_users", |_| File::open("/etc/shadow").is_ok()),
        ("write_system", |_| {
            let made = |dir: &str| File::create_new(format!("{dir}/.kode-probe"));
            let made: Vec<_> = ["/usr", "/etc", "/"].into_iter().filter(|dir| made(dir).is_ok()).collect();
            made.iter().for_each(|dir| drop(std::fs::remove_file(format!("{dir}/.kode-probe"))));
            !made.is_empty()
        }),
        ("signal_server", |to| {
            server(to).is_some_and(|pid| sys::attempt(libc::SYS_kill, [pid.into(), 0, 0, 0, 0]).is_ok())
        }),
        ("trace_server", |to| {
            // PTRACE_SEIZE stops nothing, and ends with this process.
            server(to)
                .is_some_and(|pid| sys::attempt(libc::SYS_ptrace, [0x4206, pid.into(), 0, 0, 0]).is_ok())
        }),
        ("connect_tcp", |to| TcpStream::connect_timeout(&to.tcp, PATIENCE).is_ok()),
        ("connect_abstract_socket", |to| {
            UnixAddress::from_abstract_name(&to.abstract_name)
                .and_then(|address| UnixStream::connect_addr(&address))
                .is_ok()
        }),
        ("open_vsock", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM)),
        ("open_netlink", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
        ("open_packet_socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
        // Each with arguments that a kernel that gets to see them would call wrong, not forbidden.
        ("call_io_uring", |_| is_let_through(libc::SYS_io_uring_setup)),
        ("call_bpf", |_| is_let_through(libc::SYS_bpf)),
        ("call_keyctl", |_| {
            // KEYCTL_GET_KEYRING_ID of the session keyring.
            sys::attempt(libc::SYS_keyctl, [0, -3, 0, 0, 0]).is_ok()
        }),
        ("make_user_namespace", |_| {
            sys::attempt(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0]).is_ok()
        }),
        ("mount", |_| {
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            let flags = libc::c_long::try_from(flags).unwrap_or_default();
            let root = c"/".as_ptr() as libc::c_long;
            sys::attempt(libc::SYS_mount, [0, root, 0, flags, 0]).is_ok()
        }),
    ]
}

/// The server's number, unless it is that of one of the two processes of this sandbox: in a pid namespace numbers begin
/// anew, and in a container the server itself often is number 1.
fn server(to: &Targets) -> Option<i32> {
    let ours = [Some(rustix::process::getpid()), rustix::process::getppid()];
    let ours = ours.into_iter().flatten().any(|pid| pid.as_raw_nonzero().get() == to.server);
    (!ours).then_some(to.server)
}

fn socket(family: i32, kind: i32) -> bool {
    match sys::attempt(libc::SYS_socket, [family.into(), kind.into(), 0, 0, 0]) {
        Ok(fd) => {
            let _ = sys::attempt(libc::SYS_close, [fd, 0, 0, 0, 0]);
            true
        }
        Err(_) => false,
    }
}

/// Whether a call reaches the kernel proper: a filter says that it is not permitted or does not exist.
fn is_let_through(call: libc::c_long) -> bool {
    use rustix::io::Errno;
    !matches!(sys::attempt(call, [-1, 0, 0, 0, 0]), Err(Errno::PERM | Errno::NOSYS))
}
