//! Ways in which a command tries to outlive its end, and the search for what succeeded. For tests of sandboxes.

use std::fs;
use std::time::{Duration, Instant};

/// How long anything is waited for: a machine may be busy, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Command lines that leave something behind; `MARK` stands for a mark, by which it is found.
pub const WAYS: [&str; 7] = [
    "sleep MARK &",
    "nohup sleep MARK > /dev/null 2>&1 &",
    "setsid sleep MARK &",
    "(setsid nohup sleep MARK > /dev/null 2>&1 &) &",
    "perl -MPOSIX -e 'fork and exit; POSIX::setsid(); fork and exit; \
     $SIG{$_} = \"IGNORE\" for qw(HUP TERM INT); exec qw(sleep MARK)'",
    "bash -c 'trap \"\" HUP TERM; exec sleep MARK' & disown -a",
    "for i in 1 2 3 4 5 6 7 8; do (setsid sleep MARK &); done",
];

/// A mark that no other process of this machine has: a number, as `sleep` takes it. Each `nth` of one process is
/// another.
#[must_use]
pub fn mark(nth: u64) -> String {
    format!("{}.{nth:06}", 1_000_000 + u64::from(std::process::id()))
}

/// The processes of this machine that have the mark as one of their arguments, dead ones aside.
#[must_use]
pub fn marked(mark: &str) -> Vec<i32> {
    let of = |entry: fs::DirEntry| {
        let process: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let is_dead = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']));
        let found = !is_dead && line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
        found.then_some(process)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

/// Waits until something has the mark.
///
/// # Panics
/// It never came.
pub async fn until_marked(mark: &str) {
    until(|| !marked(mark).is_empty(), "what is to get away was never started").await;
}

/// Waits until nothing has the mark any more.
///
/// # Panics
/// Something outlived its end.
pub async fn until_gone(mark: &str) {
    until(|| marked(mark).is_empty(), "something outlived its end").await;
}

async fn until(is_so: impl Fn() -> bool, else_panic: &str) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "{else_panic}");
        // Processes tell nobody of their ends but their parents, so they are looked for.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
