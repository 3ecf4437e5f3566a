//! The journal's writer of the race tests: it knows where its journal ends, and that no other one writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use kode_core::id::Seq;
use kode_core::store::Head;

/// A journal that all of its writers share.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    busy: AtomicBool,
    /// The highest epoch that was granted.
    pub(crate) newest: AtomicU32,
    /// How many entries are acknowledged.
    pub(crate) whole: AtomicU64,
}

/// A writer.
pub(crate) struct Writer {
    disk: Arc<Disk>,
    told: Head,
}

impl Writer {
    pub(crate) fn take(disk: &Arc<Disk>) -> Self {
        let seq = Seq(disk.whole.load(Ordering::SeqCst));
        Self { disk: disk.clone(), told: Head { seq, ..Head::default() } }
    }

    /// Writes and syncs one entry; others may go on in the middle of it.
    pub(crate) fn append(&mut self) {
        assert!(
            !self.disk.busy.swap(true, Ordering::SeqCst),
            "two writers write one journal at the same time"
        );
        shuttle::thread::yield_now();
        let seq = self.disk.whole.fetch_add(1, Ordering::SeqCst) + 1;
        assert_eq!(self.told.seq.0 + 1, seq, "a writer does not know where its journal ends");
        self.told.seq = Seq(seq);
        self.disk.busy.store(false, Ordering::SeqCst);
    }

    pub(crate) fn told(&self) -> Head {
        self.told
    }

    pub(crate) fn suspect(&self) -> Option<Seq> {
        None
    }
}
