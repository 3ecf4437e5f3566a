//! The names in one directory, whose makers share its syncs.

use std::io;

use crate::disk::Disk;
use crate::log::Group;

/// One directory.
pub(crate) struct Names {
    dir: &'static str,
    group: Group,
}

impl Names {
    pub(crate) fn of(dir: &'static str) -> Self {
        Self { dir, group: Group::default() }
    }

    /// Returns once the names that were made before the call survive a power loss. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        self.group.add(|_| {});
        self.group.wait(|_| disk.sync_dir(self.dir))
    }
}
