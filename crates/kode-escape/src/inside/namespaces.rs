//! New namespaces, in which a process has every right, and the host's own, which it could enter.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::ground::{call, pidfd, words};
use crate::attempt::{Attempt, Outcome, attempt, had, stopped};
use crate::targets::Targets;

const NEW: &str = "a namespace in which it has every right: a wide door into the kernel";
const HOSTS: &str = "the host's view of things";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("unshare_user", NEW, |_| unshare(libc::CLONE_NEWUSER)),
    attempt("unshare_mount", NEW, |_| unshare(libc::CLONE_NEWNS)),
    attempt("unshare_pid", NEW, |_| unshare(libc::CLONE_NEWPID)),
    attempt("unshare_network", NEW, |_| unshare(libc::CLONE_NEWNET)),
    attempt("unshare_ipc", NEW, |_| unshare(libc::CLONE_NEWIPC)),
    attempt("unshare_uts", NEW, |_| unshare(libc::CLONE_NEWUTS)),
    attempt("unshare_cgroup", NEW, |_| unshare(libc::CLONE_NEWCGROUP)),
    attempt("unshare_time", NEW, |_| unshare(0x80)),
    attempt("clone_user", NEW, |_| clone(libc::CLONE_NEWUSER)),
    attempt("clone_user_mount", NEW, |_| clone(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)),
    attempt("clone_user_network", NEW, |_| clone(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)),
    attempt("clone_user_pid", NEW, |_| clone(libc::CLONE_NEWUSER | libc::CLONE_NEWPID)),
    attempt("clone3_user", NEW, |_| {
        let mut arguments = words(&[libc::CLONE_NEWUSER as u64, 0, 0, 0, 17, 0, 0, 0]);
        child(call!(libc::SYS_clone3, &mut arguments[..], 64)?)
    }),
    attempt("clone3_plain", "calls whose arguments no filter reads", |_| {
        let mut arguments = words(&[0, 0, 0, 0, 17, 0, 0, 0]);
        child(call!(libc::SYS_clone3, &mut arguments[..], 64)?)
    }),
    attempt("enter_server_mounts", HOSTS, |to| enter(to, "mnt")),
    attempt("enter_server_network", HOSTS, |to| enter(to, "net")),
    attempt("enter_server_processes", HOSTS, |to| enter(to, "pid")),
    attempt("enter_server_ipc", HOSTS, |to| enter(to, "ipc")),
    attempt("enter_server_name", HOSTS, |to| enter(to, "uts")),
    attempt("enter_server_groups", HOSTS, |to| enter(to, "cgroup")),
    attempt("enter_server_by_descriptor", HOSTS, |to| {
        had(call!(libc::SYS_setns, pidfd(to.server)?, libc::CLONE_NEWNET | libc::CLONE_NEWUTS)?)
    }),
    attempt("enter_own_network_again", HOSTS, |_| {
        let own = File::open("/proc/self/ns/net")?;
        had(call!(libc::SYS_setns, own.as_raw_fd(), libc::CLONE_NEWNET)?)
    }),
    attempt("read_server_namespaces", HOSTS, |to| {
        had(std::fs::read_link(format!("/proc/{}/ns/net", to.server))?.display())
    }),
];

/// Alone where the right is there, else together with a user namespace that gives it.
pub(super) fn unshare(kind: i32) -> Outcome {
    if call!(libc::SYS_unshare, kind).is_ok() {
        return had("a namespace");
    }
    had(call!(libc::SYS_unshare, kind | libc::CLONE_NEWUSER)?)
}

fn clone(kinds: i32) -> Outcome {
    child(call!(libc::SYS_clone, kinds | libc::SIGCHLD, 0, 0, 0, 0)?)
}

/// On the child's side, its end; on the other, what was had.
fn child(pid: i64) -> Outcome {
    if pid == 0 {
        let _ = call!(libc::SYS_exit_group, 0);
        return stopped("unreachable");
    }
    had(pid)
}

fn enter(to: &Targets, kind: &str) -> Outcome {
    let namespace = File::open(format!("/proc/{}/ns/{kind}", to.server))?;
    had(call!(libc::SYS_setns, namespace.as_raw_fd(), 0)?)
}
