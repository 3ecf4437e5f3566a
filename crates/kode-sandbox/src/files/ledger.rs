//! What this agent last saw of each file, to refuse a write over a change that it has not seen.
//!
//! The ledger is bounded: beyond [`REMEMBERED`] files the one that was touched longest ago is forgotten and
//! counts as never read. It is not kept over a restart.

use std::collections::HashMap;

use kode_core::sandbox::FileError;
use rustix::fs::Stat;

/// How many files are remembered; a few hundred bytes each.
const REMEMBERED: usize = 1_024;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    /// Also moves when content is changed and the times are set back.
    changed: (i64, u64),
}

impl Stamp {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// The same content by all that a rename leaves alone.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        (self.inode, self.size, self.modified) == (other.inode, other.size, other.modified)
    }
}

/// A file as the ledger names it: its root by its prefix, and its place beneath.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) prefix: String,
    pub(crate) place: Vec<u8>,
}

/// The memory of one workspace.
#[derive(Default)]
pub(crate) struct Ledger {
    seen: HashMap<Key, (Stamp, u64)>,
    touches: u64,
}

impl Ledger {
    /// This is how the file looks to the agent now.
    pub(crate) fn remember(&mut self, key: Key, stamp: Stamp) {
        self.touches += 1;
        self.seen.insert(key, (stamp, self.touches));
        if self.seen.len() > REMEMBERED {
            self.forget_oldest();
        }
    }

    /// Refuses when the agent saw the file in another state. A file that is gone may be made anew, since
    /// nothing is lost by that.
    pub(crate) fn check(&self, shown: &str, key: &Key, now: Option<Stamp>) -> Result<(), FileError> {
        match (self.seen.get(key), now) {
            (Some((seen, _)), Some(now)) if *seen != now => Err(FileError::Changed(shown.to_owned())),
            _ => Ok(()),
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.seen.iter().min_by_key(|(_, (_, touch))| *touch).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.seen.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: usize) -> Key {
        Key { prefix: String::new(), place: name.to_string().into_bytes() }
    }

    fn stamp(size: i64) -> Stamp {
        Stamp { device: 1, inode: 1, size, modified: (0, 0), changed: (0, 0) }
    }

    #[test]
    fn g10_beyond_its_bound_the_ledger_forgets_what_was_touched_longest_ago() {
        let mut ledger = Ledger::default();
        (0..REMEMBERED).for_each(|name| ledger.remember(key(name), stamp(1)));
        ledger.remember(key(0), stamp(1));
        ledger.remember(key(REMEMBERED), stamp(1));

        let refused = |name| ledger.check("x", &key(name), Some(stamp(2))).is_err();
        assert_eq!(ledger.seen.len(), REMEMBERED);
        assert_eq!((refused(0), refused(1), refused(REMEMBERED)), (true, false, true));
    }
}
