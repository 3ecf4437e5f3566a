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

/// All processes below this one.
pub(super) fn below_us() -> Vec<Pid> {
    below(rustix::process::getpid()).split_off(1)
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

/// Reaps what is dead. False when there is no child left, and so nothing below one either: what loses its parent becomes
/// ours. A look at `/proc` cannot tell that, as it misses what moves up meanwhile.
fn reap() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Kills the child and all that comes from it, and reaps them. In a pid namespace the child's own end is enough;
/// elsewhere this process is the one to which orphans come, so what is left shows up as its child.
pub(super) fn kill(child: Pid) {
    let give_up = Instant::now() + GRACE;
    let _ = rustix::process::kill_process(child, Signal::KILL);
    while reap() && Instant::now() < give_up {
        let left = below_us();
        // Stopped first, so that none of them makes another while the next one is killed.
        for signal in [Signal::STOP, Signal::KILL] {
            for pid in &left {
                let _ = rustix::process::kill_process(*pid, signal);
            }
        }
        let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
    }
}
