//! Other processes: looking into them, stopping them, making them slow or small.

use super::ground::{call, pidfd, place, reaches_kernel, secret, words};
use crate::attempt::{Attempt, Outcome, attempt, had, stopped, when};
use crate::targets::{SECRET, Targets};

const MEMORY: &str = "the memory of another process";
const END: &str = "the end of another process";
const SLOW: &str = "another process made slow or small";
const PTRACE_ATTACH: i32 = 16;
const PTRACE_SEIZE: i32 = 0x4206;

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("trace_server", MEMORY, |to| had(call!(libc::SYS_ptrace, PTRACE_SEIZE, to.server, 0, 0)?)),
    attempt("trace_other", MEMORY, |to| had(call!(libc::SYS_ptrace, PTRACE_SEIZE, to.victim, 0, 0)?)),
    attempt("attach_to_other", MEMORY, |to| had(call!(libc::SYS_ptrace, PTRACE_ATTACH, to.victim, 0, 0)?)),
    attempt("copy_server_memory_out", MEMORY, |to| {
        let bytes = [0; SECRET.len()];
        let mut local = words(&[place(&bytes), SECRET.len() as u64]);
        let mut remote = words(&[to.memory, SECRET.len() as u64]);
        call!(libc::SYS_process_vm_readv, to.server, &mut local[..], 1, &mut remote[..], 1, 0)?;
        secret(std::hint::black_box(&bytes))
    }),
    attempt("copy_server_memory_in", MEMORY, |to| {
        let mut local = words(&[place(SECRET.as_bytes()), 1]);
        let mut remote = words(&[to.memory, 1]);
        had(call!(libc::SYS_process_vm_writev, to.server, &mut local[..], 1, &mut remote[..], 1, 0)?)
    }),
    attempt("take_server_descriptor", MEMORY, |to| {
        let fd = call!(libc::SYS_pidfd_getfd, pidfd(to.server)?, to.server_fd, 0)?;
        let mut bytes = [0; SECRET.len()];
        call!(libc::SYS_pread64, fd, &mut bytes[..], 21, 0)?;
        secret(&bytes)
    }),
    attempt("compare_with_server", MEMORY, |to| {
        let own = i64::from(std::process::id());
        had(call!(libc::SYS_kcmp, to.server, own, 2, 0, 0)?)
    }),
    attempt("read_server_locks", MEMORY, |to| {
        let (mut head, mut length) = ([0; 8], [0; 8]);
        had(call!(libc::SYS_get_robust_list, to.server, &mut head[..], &mut length[..])?)
    }),
    attempt("move_server_pages", MEMORY, |to| had(call!(libc::SYS_move_pages, to.server, 0, 0, 0, 0, 0)?)),
    attempt("advise_server_memory", MEMORY, |to| {
        let fd = pidfd(to.server)?;
        let mut pieces = words(&[to.memory & !4095, 4096]);
        had(call!(libc::SYS_process_madvise, fd, &mut pieces[..], 1, libc::MADV_COLD, 0)?)
    }),
    attempt("signal_server", END, |to| had(call!(libc::SYS_kill, to.server, 0)?)),
    attempt("signal_server_thread", END, |to| had(call!(libc::SYS_tgkill, to.server, to.server, 0)?)),
    attempt("signal_server_task", END, |to| had(call!(libc::SYS_tkill, to.server, 0)?)),
    attempt("queue_signal_to_server", END, |to| {
        let mut info = words(&[0; 16]);
        // A signal that the server ignores, with a code that a process may choose.
        info[8..12].copy_from_slice(&(-1_i32).to_ne_bytes());
        had(call!(libc::SYS_rt_sigqueueinfo, to.server, libc::SIGURG, &mut info[..])?)
    }),
    attempt("signal_server_by_descriptor", END, |to| {
        had(call!(libc::SYS_pidfd_send_signal, pidfd(to.server)?, 0, 0, 0)?)
    }),
    attempt("hold_server", END, |to| had(pidfd(to.server)?)),
    attempt("signal_other", END, |to| had(call!(libc::SYS_kill, to.victim, 0)?)),
    attempt("stop_other", END, stop_other),
    attempt("signal_group_of_other", END, |to| had(call!(libc::SYS_kill, -i64::from(to.victim), 0)?)),
    attempt("have_input_signal_sent", END, |to| {
        let (reader, writer) = rustix::pipe::pipe()?;
        use std::os::fd::AsRawFd;
        call!(libc::SYS_fcntl, reader.as_raw_fd(), libc::F_SETOWN, to.victim)?;
        call!(libc::SYS_fcntl, reader.as_raw_fd(), 10, libc::SIGSTOP)?;
        call!(libc::SYS_fcntl, reader.as_raw_fd(), libc::F_SETFL, libc::O_ASYNC)?;
        rustix::io::write(&writer, b"x")?;
        is_stopped(to)
    }),
    attempt("make_server_nice", SLOW, |to| {
        let nice = 20 - call!(libc::SYS_getpriority, 0, to.server)?;
        had(call!(libc::SYS_setpriority, 0, to.server, nice)?)
    }),
    attempt("change_server_disk_priority", SLOW, |to| {
        let now = call!(libc::SYS_ioprio_get, 1, to.server)?;
        had(call!(libc::SYS_ioprio_set, 1, to.server, now)?)
    }),
    attempt("pin_server", SLOW, |to| {
        let mut mask = [0; 128];
        call!(libc::SYS_sched_getaffinity, to.server, 128, &mut mask[..])?;
        had(call!(libc::SYS_sched_setaffinity, to.server, 128, &mut mask[..])?)
    }),
    attempt("change_server_scheduling", SLOW, |to| {
        let mut priority = [0; 4];
        had(call!(libc::SYS_sched_setscheduler, to.server, 0, &mut priority[..])?)
    }),
    attempt("change_server_scheduling_attributes", SLOW, |to| {
        let mut attributes = words(&[0; 6]);
        attributes[..4].copy_from_slice(&48_u32.to_ne_bytes());
        // Its niceness stays what it is: less of it would be another right.
        let nice = 20 - call!(libc::SYS_getpriority, 0, to.server)?;
        attributes[16..20].copy_from_slice(&(nice as i32).to_ne_bytes());
        had(call!(libc::SYS_sched_setattr, to.server, &mut attributes[..], 0)?)
    }),
    attempt("limit_server", SLOW, |to| {
        let mut limits = [0; 16];
        call!(libc::SYS_prlimit64, to.server, libc::RLIMIT_CORE as i32, 0, &mut limits[..])?;
        had(call!(libc::SYS_prlimit64, to.server, libc::RLIMIT_CORE as i32, &mut limits[..], 0)?)
    }),
    attempt("read_limits_of_server", SLOW, |to| {
        let mut limits = [0; 16];
        had(call!(libc::SYS_prlimit64, to.server, libc::RLIMIT_NOFILE as i32, 0, &mut limits[..])?)
    }),
    attempt("move_server_memory_between_nodes", SLOW, |to| {
        let mut nodes = words(&[1]);
        let mut same = nodes.clone();
        had(call!(libc::SYS_migrate_pages, to.server, 64, &mut nodes[..], &mut same[..])?)
    }),
    attempt("measure_server", MEMORY, |to| {
        let mut attributes = counter();
        had(call!(libc::SYS_perf_event_open, &mut attributes[..], to.server, -1, -1, 0)?)
    }),
    attempt("measure_itself", "a wide door into the kernel", |_| {
        let mut attributes = counter();
        had(call!(libc::SYS_perf_event_open, &mut attributes[..], 0, -1, -1, 0)?)
    }),
    attempt("reap_memory_of_server", END, |to| {
        // Only a dying process may be helped along; the kernel says so after it has let the caller in.
        reaches_kernel(call!(libc::SYS_process_mrelease, pidfd(to.server)?, 0))
    }),
];

/// A counter of the task's own clock, in user space only.
fn counter() -> Vec<u8> {
    let mut attributes = vec![0; 128];
    attributes[..4].copy_from_slice(&1_u32.to_ne_bytes());
    attributes[4..8].copy_from_slice(&128_u32.to_ne_bytes());
    attributes[8..16].copy_from_slice(&1_u64.to_ne_bytes());
    // disabled, exclude_kernel, exclude_hv.
    attributes[40..48].copy_from_slice(&0x61_u64.to_ne_bytes());
    attributes
}

fn stop_other(to: &Targets) -> Outcome {
    call!(libc::SYS_kill, to.victim, libc::SIGSTOP)?;
    is_stopped(to)
}

/// Had, where the other process stands still; it goes on then.
fn is_stopped(to: &Targets) -> Outcome {
    for _ in 0..200 {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", to.victim))?;
        if state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')) {
            let _ = call!(libc::SYS_kill, to.victim, libc::SIGCONT);
            return when(true, "it stood still");
        }
        super::ground::pause(std::time::Duration::from_millis(1));
    }
    stopped("it ran on")
}
