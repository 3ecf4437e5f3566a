//! What was done to a world, and what was seen in it, counted over any number of worlds.

use std::fmt;
use std::ops::AddAssign;

use kode_testkit::sim::watch::Sights;

/// How often each thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A node was cut off from the store.
    pub partitions: u64,
    /// A node was stopped while time went on.
    pub pauses: u64,
    /// A node was lost with all that it was doing.
    pub crashes: u64,
    /// A node was shut down in good order, and started again.
    pub drains: u64,
    /// The network was slow and lossy for a while.
    pub storms: u64,
}

/// The sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Worlds.
    pub worlds: u64,
    /// What went wrong.
    pub faults: Faults,
    /// What was seen.
    pub sights: Sights,
    /// The simulated time, in seconds.
    pub seconds: u64,
}

impl AddAssign for Census {
    fn add_assign(&mut self, other: Self) {
        let (f, o) = (&mut self.faults, other.faults);
        f.partitions += o.partitions;
        f.pauses += o.pauses;
        f.crashes += o.crashes;
        f.drains += o.drains;
        f.storms += o.storms;
        let (s, o) = (&mut self.sights, other.sights);
        s.grants += o.grants;
        s.entries += o.entries;
        s.acknowledged += o.acknowledged;
        s.tools += o.tools;
        s.read += o.read;
        s.decisions += o.decisions;
        self.worlds += other.worlds;
        self.seconds += other.seconds;
    }
}

impl fmt::Display for Census {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, faults: f, sights: s, seconds } = self;
        write!(
            out,
            "{worlds} worlds, {seconds} s simulated: {} partitions, {} pauses, {} crashes, {} drains, {} storms; \
             {} leases, {} entries, {} messages acknowledged, {} tools started, {} decisions, {} events read",
            f.partitions,
            f.pauses,
            f.crashes,
            f.drains,
            f.storms,
            s.grants,
            s.entries,
            s.acknowledged,
            s.tools,
            s.decisions,
            s.read
        )
    }
}
