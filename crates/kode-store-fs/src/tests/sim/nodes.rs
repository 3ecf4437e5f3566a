//! What is on the simulated disk: files by sectors and directories by names, each as the cache has it and as the
//! disk has it. It counts nothing and fails at nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Dice;

const SECTOR: usize = 512;

#[derive(Default, Clone)]
pub(super) struct FileNode {
    pub cached: Vec<u8>,
    pub durable: Vec<u8>,
    pub dirty: BTreeSet<usize>,
}

#[derive(Default, Clone)]
pub(super) struct DirNode {
    pub cached: BTreeMap<String, usize>,
    pub durable: BTreeMap<String, usize>,
}

impl FileNode {
    pub(super) fn touch(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[at..end].copy_from_slice(bytes);
        self.touch(at, end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let (from, to) = (len.min(self.cached.len()), len.max(self.cached.len()));
        self.cached.resize(len, 0);
        self.touch(from, to);
    }

    pub(super) fn put_sector(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(self.cached.len()).min(self.durable.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&self.cached[from..to]);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.put_sector(sector);
        }
    }

    /// Any of the sectors that were not synced may have reached the disk, with or without the new length.
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        if !self.dirty.is_empty() && dice.roll(3) > 0 {
            self.durable.resize(self.cached.len(), 0);
            for sector in std::mem::take(&mut self.dirty) {
                if dice.roll(2) == 0 {
                    self.put_sector(sector);
                }
            }
        }
        self.dirty.clear();
        self.cached = self.durable.clone();
    }
}

impl DirNode {
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        if dice.roll(2) == 0 {
            self.durable = self.cached.clone();
        }
        self.cached = self.durable.clone();
    }
}
