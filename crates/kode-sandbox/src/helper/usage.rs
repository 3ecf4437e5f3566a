//! How much a process tree uses: the bytes of the work directory, counted, and its memory where no cgroup bounds
//! it. Both are looked at now and then, so a tree can be over for a moment; a count takes a small part of the time.

use std::ffi::CStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kode_core::sandbox::Limit;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::process::Pid;

use super::tree;
use crate::policy::Bounds;

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest, for directories that take long to count.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one step of a count may take.
const STEP: Duration = Duration::from_millis(5);
/// A count may take this part of the time.
const SHARE: u32 = 20;
/// Levels below which nothing is counted: deeper than paths reach.
const DEPTH_MAX: usize = 128;
/// Bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;
/// What a command may add to a directory that is over its quota already, so that it can be cleaned up.
const SLACK: u64 = 1 << 20;

/// The counter of one tree.
pub(super) struct Usage {
    work: OwnedFd,
    disk: u64,
    memory: u64,
    count: Option<Count>,
    /// Whether a count has come to its end.
    counted: bool,
    next: Instant,
    took: Duration,
}

/// A count under way. It goes on in small steps, so that its size holds nothing up.
struct Count {
    begun: Instant,
    open: Vec<(OwnedFd, Dir)>,
    bytes: u64,
}

impl Usage {
    pub(super) fn of(work: &OwnedFd, bounds: &Bounds) -> rustix::io::Result<Self> {
        let work = rustix::io::fcntl_dupfd_cloexec(work, 3)?;
        let (disk, memory) = (bounds.disk, bounds.memory);
        Ok(Self {
            work,
            disk,
            memory,
            count: None,
            counted: false,
            next: Instant::now(),
            took: Duration::ZERO,
        })
    }

    /// When to look next.
    pub(super) fn look_at(&self) -> Instant {
        self.next
    }

    /// What the tree below `child` has too much of. Takes some milliseconds at most; to be called again at the time
    /// that [`Self::look_at`] says.
    pub(super) fn over(&mut self, child: Pid, count_memory: bool) -> Option<Limit> {
        if count_memory && self.count.is_none() && memory_of(child, self.memory) > self.memory {
            return Some(Limit::Memory);
        }
        let mut count = self.count.take().unwrap_or_else(|| Count::begin(&self.work));
        if !count.go_on() {
            self.count = Some(count);
            self.next = Instant::now();
            return None;
        }
        self.took = count.begun.elapsed();
        self.next = Instant::now() + (self.took * SHARE).clamp(PAUSE, PAUSE_MAX);
        if !self.counted {
            // A directory that is over its quota already may be worked in, or nobody could clean it up.
            self.disk = self.disk.max(count.bytes.saturating_add(SLACK));
            self.counted = true;
        }
        (count.bytes > self.disk).then_some(Limit::Disk)
    }
}

impl Count {
    fn begin(work: &OwnedFd) -> Self {
        let open = open_directory(work, c".").into_iter().collect();
        Self { begun: Instant::now(), open, bytes: 0 }
    }

    /// Counts for a while. True when it came to its end.
    fn go_on(&mut self) -> bool {
        let until = Instant::now() + STEP;
        while let Some((fd, dir)) = self.open.last_mut() {
            let Some(Ok(entry)) = dir.next() else {
                self.open.pop();
                continue;
            };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&*fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
            self.bytes = self.bytes.saturating_add(blocks * BLOCK);
            let goes_down = FileType::from_raw_mode(stat.st_mode).is_dir();
            let below = goes_down.then(|| open_directory(fd, entry.file_name())).flatten();
            if self.open.len() < DEPTH_MAX {
                self.open.extend(below);
            }
            if Instant::now() >= until {
                return self.open.is_empty();
            }
        }
        true
    }
}

/// A directory and its entries. No link is followed; one that cannot be read has none.
fn open_directory(above: &OwnedFd, name: &CStr) -> Option<(OwnedFd, Dir)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(above, name, flags, Mode::empty()).ok()?;
    let entries = Dir::read_from(&opened).ok()?;
    Some((opened, entries))
}

/// Memory of a tree. Pages that several processes share are counted by each, unless that is what makes it too much:
/// then the kernel is asked for the shares, which takes longer.
fn memory_of(child: Pid, most: u64) -> u64 {
    let tree = tree::below(child);
    let sum = |file: &str, names: &[&str]| -> u64 {
        tree.iter().map(|pid| kib(&format!("/proc/{}/{file}", pid.as_raw_nonzero()), names) * 1_024).sum()
    };
    let rough = sum("status", &["RssAnon:", "RssShmem:"]);
    if rough <= most {
        return rough;
    }
    match sum("smaps_rollup", &["Pss_Anon:", "Pss_Shmem:"]) {
        0 => rough,
        shares => shares,
    }
}

fn kib(path: &str, names: &[&str]) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = |line: &str| {
        let (name, rest) = line.split_once(char::is_whitespace)?;
        names.contains(&name).then(|| rest.split_whitespace().next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(value).sum()
}
