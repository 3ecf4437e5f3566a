//! The processes below one process, found in `/proc`, and their end.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

/// How long the end of a tree is waited for: what is in the kernel's hands (a dying disk) is not for us to end.
const GRACE: Duration = Duration::from_secs(5);

/// All processes below one, itself first.
pub(super) fn below(pid: Pid) -> Vec<Pid> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children(parent).into_iter().filter(|child| !found.contains(child)).collect::<Vec<_>>());
        next += 1;
    }
    found
}

fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let texts: Vec<String> = tasks.into_iter().flatten().flatten().map(of).collect();
    texts
        .iter()
        .flat_map(|text| text.split_whitespace())
        .filter_map(|id| Pid::from_raw(id.parse().ok()?))
        .collect()
}

/// Kills the child and all that comes from it, and reaps them. In a pid namespace the child's own end is enough;
/// elsewhere this process is the one to which orphans come, so what is left shows up as its child.
pub(super) fn kill(child: Pid) {
    let give_up = Instant::now() + GRACE;
    let _ = rustix::process::kill_process(child, Signal::KILL);
    let us = rustix::process::getpid();
    loop {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        let left: Vec<Pid> = below(us).into_iter().filter(|pid| *pid != us).collect();
        if left.is_empty() || Instant::now() >= give_up {
            return;
        }
        // Stopped first, so that none of them makes another while the next one is killed.
        for signal in [Signal::STOP, Signal::KILL] {
            for pid in &left {
                let _ = rustix::process::kill_process(*pid, signal);
            }
        }
        let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
    }
}
