//! How much a process tree uses: the bytes of the work directory, counted, and its memory where no cgroup bounds
//! it. Both are looked at now and then, so a tree can be over for a moment; a count takes a small part of the time.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use kode_core::sandbox::Limit;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit};
use rustix::time::{ClockId, clock_gettime};

use super::hidden::{self, Hidden};
use super::tree;
use crate::policy::Bounds;

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest, for directories that take long to count.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one step of a count may take.
const STEP: Duration = Duration::from_millis(5);
/// How long a start may be held up by a count of what is there before.
const BEFORE: Duration = Duration::from_millis(20);
/// A count may take this part of the time.
const SHARE: u32 = 20;
/// Looks in a row at which a process may hide what it holds: it may be at its beginning or its end.
const PATIENCE: u32 = 3;
/// Levels that are counted, with a descriptor for each. A tree that is deeper is taken for too large: whatever it was made
/// for, nobody can say how much is in it.
const DEPTH_MAX: usize = 1_500;
/// What an entry takes at least: empty files have an end too.
const ENTRY: u64 = 4_096;
/// Bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;
/// What a command may add to a directory that is over its quota already, so that it can be cleaned up.
const SLACK: u64 = 1 << 20;

/// The counter of one tree.
pub(super) struct Usage {
    work: OwnedFd,
    /// The device that the work directory is on.
    device: u64,
    has_namespaces: bool,
    disk: u64,
    memory: u64,
    count: Option<Count>,
    /// Processes that are not the command's.
    ours: Vec<Pid>,
    /// Those that hid what they hold at the last look, and at how many before it.
    dark: HashMap<Pid, u32>,
    next: Option<Instant>,
}

/// A count under way. It goes on in small steps, so that its size holds nothing up.
struct Count {
    begun: Instant,
    /// Processor time of its steps: on a busy machine a small count takes long, and is no reason to look more rarely.
    took: Duration,
    open: Vec<Dir>,
    bytes: u64,
    is_too_deep: bool,
}

impl Usage {
    /// To be called before anything runs: what is there by then may stay. A directory that is over its quota already may be
    /// worked in, or nobody could clean it up; but what a command adds while it is counted is its own. Where there is too
    /// much to count in time, the quota is what it is.
    pub(super) fn of(work: &OwnedFd, bounds: &Bounds, has_namespaces: bool) -> rustix::io::Result<Self> {
        let work = rustix::io::fcntl_dupfd_cloexec(work, 3)?;
        let before = Count::begin(&work).finish(BEFORE).unwrap_or_default();
        let (disk, memory) =
            (if before > bounds.disk { before.saturating_add(SLACK) } else { bounds.disk }, bounds.memory);
        let device = rustix::fs::fstat(&work)?.st_dev;
        Ok(Self {
            work,
            device,
            has_namespaces,
            disk,
            memory,
            count: None,
            ours: Vec::new(),
            dark: HashMap::new(),
            next: None,
        })
    }

    /// To be called when the command runs. Of the processes below this one, these are none of its own.
    pub(super) fn begin(&mut self, ours: Vec<Pid>) {
        self.ours = ours;
        self.next = Some(Instant::now());
    }

    /// When to look next; never before anything runs.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.next
    }

    /// What the command has too much of. Takes some milliseconds at most, and longer the more processes there are; to be
    /// called again at the time that [`Self::look_at`] says.
    pub(super) fn over(&mut self, count_memory: bool) -> Option<Limit> {
        let begins = self.count.is_none();
        let mut count = self.count.take().unwrap_or_else(|| Count::begin(&self.work));
        if begins && count_memory {
            let before = processor_time();
            let tree = self.tree();
            let held = hidden::held(&tree, self.device).0;
            if self.memory_of(&tree, held) > self.memory {
                return Some(Limit::Memory);
            }
            count.took += processor_time().saturating_sub(before);
        }
        if !count.go_on() {
            self.count = Some(count);
            self.next = Some(Instant::now());
            return None;
        }
        let before = processor_time();
        let (held, dark) = hidden::held(&self.tree(), self.device);
        count.took += processor_time().saturating_sub(before);
        self.next = Some(Instant::now() + (count.took * SHARE).clamp(PAUSE, PAUSE_MAX));
        let hides = self.hides(dark);
        (count.bytes.saturating_add(held.disk) > self.disk || count.is_too_deep || hides)
            .then_some(Limit::Disk)
    }

    /// The command's processes.
    fn tree(&self) -> Vec<Pid> {
        tree::below_us().into_iter().filter(|pid| !self.ours.contains(pid)).collect()
    }

    /// Whether one of them keeps hiding what it holds. With namespaces there is nothing that it could be needed for, and
    /// nobody can say how much it is.
    fn hides(&mut self, dark: HashSet<Pid>) -> bool {
        self.dark.retain(|pid, _| dark.contains(pid));
        for pid in dark {
            *self.dark.entry(pid).or_default() += 1;
        }
        self.has_namespaces && self.dark.values().any(|looks| *looks > PATIENCE)
    }

    /// Memory of a tree. Pages that several processes share are counted by each, unless that is what makes it too
    /// much: then the kernel is asked for the shares, which takes longer.
    fn memory_of(&self, tree: &[Pid], hidden: Hidden) -> u64 {
        let sum = |file: &str, names: &[&str]| -> u64 {
            tree.iter().map(|pid| kib(&format!("{}/{file}", hidden::place(*pid)), names) * 1_024).sum()
        };
        let hidden = hidden.memory + self.in_namespaces(tree);
        let rough = hidden + sum("status", &["RssAnon:", "RssShmem:"]);
        if rough <= self.memory {
            return rough;
        }
        match sum("smaps_rollup", &["Pss_Anon:", "Pss_Shmem:"]) {
            0 => rough,
            shares => hidden + shares,
        }
    }

    /// What is in memory of the tree's own, where it has namespaces; elsewhere it is everybody's.
    fn in_namespaces(&self, tree: &[Pid]) -> u64 {
        if self.has_namespaces { hidden::in_memory(tree) + hidden::segments() } else { 0 }
    }
}

impl Count {
    fn begin(work: &OwnedFd) -> Self {
        let open = open_directory(work, c".").ok().flatten().into_iter().collect();
        Self { begun: Instant::now(), took: Duration::ZERO, open, bytes: 0, is_too_deep: false }
    }

    /// The bytes, where that takes no longer.
    fn finish(mut self, most: Duration) -> Option<u64> {
        while !self.go_on() {
            if self.begun.elapsed() > most {
                return None;
            }
        }
        (!self.is_too_deep).then_some(self.bytes)
    }

    /// Counts for a while. True when it came to its end.
    fn go_on(&mut self) -> bool {
        let before = processor_time();
        let is_over = self.step();
        self.took += processor_time().saturating_sub(before);
        is_over
    }

    fn step(&mut self) -> bool {
        let until = Instant::now() + STEP;
        while let Some(dir) = self.open.last_mut() {
            let Some(Ok(entry)) = dir.next() else {
                self.open.pop();
                continue;
            };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(at) = dir.fd() else { continue };
            let Ok(stat) = rustix::fs::statat(at, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
            self.bytes = self.bytes.saturating_add((blocks * BLOCK).max(ENTRY));
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                let below = open_directory(at, entry.file_name());
                match below {
                    Ok(below) if self.open.len() < DEPTH_MAX => self.open.extend(below),
                    Ok(_) | Err(TooMany) => self.is_too_deep = true,
                }
            }
            if Instant::now() >= until {
                return self.open.is_empty();
            }
        }
        true
    }
}

/// What this thread has had of the processor so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// There are no descriptors left to go deeper with.
struct TooMany;

/// A directory's entries. No link is followed; one that cannot be read has none.
fn open_directory(above: impl AsFd, name: &CStr) -> Result<Option<Dir>, TooMany> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(above, name, flags, Mode::empty()) {
        Ok(opened) => Ok(Dir::new(opened).ok()),
        Err(Errno::MFILE | Errno::NFILE) => Err(TooMany),
        Err(_) => Ok(None),
    }
}

/// As many descriptors as this process may have: a count holds one for each level.
pub(super) fn make_room() {
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
}

fn kib(path: &str, names: &[&str]) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = |line: &str| {
        let (name, rest) = line.split_once(char::is_whitespace)?;
        names.contains(&name).then(|| rest.split_whitespace().next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(dir: &std::path::Path) -> Usage {
        let work = OwnedFd::from(fs::File::open(dir).unwrap());
        let bounds = Bounds { memory: 1 << 30, processes: 1, disk: 1 << 20, files: 1 };
        Usage::of(&work, &bounds, false).unwrap()
    }

    fn over(usage: &mut Usage) -> Option<Limit> {
        loop {
            let over = usage.over(false);
            if usage.count.is_none() {
                return over;
            }
        }
    }

    #[test]
    fn g10_what_is_there_before_may_stay_and_what_comes_while_it_is_counted_may_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = usage(dir.path());
        fs::write(dir.path().join("a"), vec![1; 3 << 20]).unwrap();
        assert_eq!(over(&mut first), Some(Limit::Disk), "its first count is no excuse");
        let mut second = usage(dir.path());
        assert_eq!(over(&mut second), None, "it can be cleaned up");
        fs::write(dir.path().join("b"), vec![1; 2 << 20]).unwrap();
        assert_eq!(over(&mut second), Some(Limit::Disk));
    }
}
