//! What a process tree holds that no directory shows: deleted files that are still open or mapped, files in memory that are
//! open, segments that nothing is attached to. What is on its way between two processes, of a deleted file the part that is
//! neither open nor mapped, and of one in memory the part that is mapped and not touched, is seen by nobody.
//!
//! Nothing here takes hold of what is another's: to close it could take as long as the other likes.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use rustix::process::Pid;

/// Bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;
/// Directories in memory that a root of its own has.
const IN_MEMORY: [&str; 3] = ["tmp", "dev/shm", "run"];
/// What the kernel keeps for a file in memory, whatever is in it.
const INODE: u64 = 1_024;

/// The kernel's flag of a thread that is about to end, as `stat` tells it.
const EXITING: u64 = 4;

/// Bytes, by what they take.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hidden {
    /// On the device of the work directory.
    pub(super) disk: u64,
    /// In memory.
    pub(super) memory: u64,
}

/// What the processes of a tree hold; `device` is that of the work directory. With it those that show nothing although the
/// kernel says that they are this user's: their program may not be read.
pub(super) fn held(tree: &[Pid], device: u64) -> (Hidden, HashSet<Pid>) {
    let (mut hidden, mut seen, mut dark) = (Hidden::default(), HashSet::new(), HashSet::new());
    for pid in tree {
        let place = place(*pid);
        match fs::read_dir(format!("{place}/fd")) {
            Ok(open) => {
                // By the link itself: what is deleted has no other way to be reached.
                let files = open.flatten().filter_map(|entry| fs::metadata(entry.path()).ok());
                for file in files.filter(is_deleted) {
                    if seen.insert((file.dev(), file.ino())) {
                        hidden.add(file.dev(), file.blocks() * BLOCK, device);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied && is_ours(&place) => {
                dark.insert(*pid);
            }
            Err(_) => {}
        }
        let maps = fs::read_to_string(format!("{place}/maps")).unwrap_or_default();
        for (of, inode, bytes) in maps.lines().filter_map(deleted_mapping) {
            if of == device && seen.insert((of, inode)) {
                hidden.disk += bytes;
            }
        }
    }
    (hidden, dark)
}

/// Where a process is looked into: a process whose first thread has ended goes on in another, and the filter of calls has
/// all of its threads share what is open.
pub(super) fn place(pid: Pid) -> String {
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    if !is_dead(&process) {
        return process;
    }
    let threads = fs::read_dir(format!("{process}/task")).into_iter().flatten().flatten();
    let threads = threads.filter_map(|entry| entry.path().into_os_string().into_string().ok());
    threads.into_iter().find(|thread| !is_dead(thread)).unwrap_or(process)
}

fn is_dead(thread: &str) -> bool {
    fields(thread).is_none_or(|fields| fields.starts_with(['Z', 'X']))
}

/// What `stat` says of a thread behind its name.
fn fields(thread: &str) -> Option<String> {
    let text = fs::read_to_string(format!("{thread}/stat")).ok()?;
    text.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

/// Whether a process that shows no files is one of the sandbox's own programs, and not about to end. Those that are the
/// system's to hide are let be.
fn is_ours(place: &str) -> bool {
    let flags = fields(place).and_then(|fields| fields.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & EXITING == 0) && fs::read_link(format!("{place}/exe")).is_ok()
}

impl Hidden {
    fn add(&mut self, of: u64, bytes: u64, device: u64) {
        if of == device {
            self.disk += bytes;
        } else {
            self.memory += bytes;
        }
    }
}

fn is_deleted(file: &Metadata) -> bool {
    file.is_file() && file.nlink() == 0
}

/// The device, the inode and the length of a mapping of a deleted file, as a line of `maps` tells them.
fn deleted_mapping(line: &str) -> Option<(u64, u64, u64)> {
    let line = line.strip_suffix(" (deleted)")?;
    let mut fields = line.split_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let (major, minor) = fields.nth(2)?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let half = |text: &str| u32::from_str_radix(text, 16).ok();
    let device = rustix::fs::makedev(half(major)?, half(minor)?);
    Some((device, inode, number(to)?.checked_sub(number(from)?)?))
}

/// What is in the directories in memory of a root of its own, as the first process has it that is in one.
pub(super) fn in_memory(tree: &[Pid]) -> u64 {
    let used = |path: String| {
        let stat = rustix::fs::statfs(path).ok()?;
        let (blocks, files) =
            (stat.f_blocks.saturating_sub(stat.f_bfree), stat.f_files.saturating_sub(stat.f_ffree));
        Some(blocks * u64::try_from(stat.f_bsize).unwrap_or_default() + files * INODE)
    };
    let which = |path: &str| fs::metadata(path).ok().map(|root| (root.dev(), root.ino()));
    let host = which("/");
    let of = |pid: &Pid| {
        let root = format!("/proc/{}/root", pid.as_raw_nonzero());
        which(&root).filter(|own| Some(*own) != host)?;
        IN_MEMORY.iter().map(|name| used(format!("{root}/{name}"))).sum::<Option<u64>>()
    };
    tree.iter().find_map(of).unwrap_or_default()
}

/// System V segments of this ipc namespace that nothing is attached to.
pub(super) fn segments() -> u64 {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    text.lines().filter_map(unattached).sum()
}

fn unattached(line: &str) -> Option<u64> {
    let fields: Vec<u64> = line.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    let [.., resident, swapped] = fields.as_slice() else { return None };
    (fields.get(6) == Some(&0)).then_some(resident + swapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_of_a_deleted_file_is_told_from_others() {
        let line = "7f1e0000-7f1e2000 r--s 00000000 fe:01 131 /work/a b (deleted)";
        assert_eq!(deleted_mapping(line), Some((rustix::fs::makedev(0xfe, 1), 131, 0x2000)));
        assert_eq!(deleted_mapping("7f1e0000-7f1e2000 r--s 00000000 fe:01 131 /work/a"), None);
        assert_eq!(deleted_mapping("7f1e0000-7f1e2000 rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn only_segments_of_nobody_are_counted() {
        let line = |attached: u32| format!("0 3 1600 1048576 5 5 {attached} 0 0 0 0 1 1 1 1048576 4096");
        assert_eq!(unattached(&line(0)), Some(1_052_672));
        assert_eq!(unattached(&line(1)), None);
        let head = "key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap";
        assert_eq!(unattached(head).unwrap_or_default(), 0);
    }
}
