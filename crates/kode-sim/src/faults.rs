//! What goes wrong in a world, and when: all of it by chance, and all of it over by a given time.

use std::time::Duration;

use kode_core::id::Millis;
use kode_testkit::sim::chance::Chance;
use kode_testkit::sim::net::{Cut, Weather};
use kode_testkit::sim::trace::Trace;

use crate::census::Faults;
use crate::node::LEASE;

/// One thing that goes wrong with one node, or with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is cut off from the store.
    Partition(Cut),
    /// It is stopped while time goes on.
    Pause,
    /// It is lost.
    Crash,
    /// It is shut down in good order, within this grace.
    Drain(Duration),
    /// The network is bad for all nodes.
    Storm(Weather),
}

/// The network while things go wrong: a little worse than fair.
const ROUGH: Weather = Weather { delay: 15, late: 20, lost: 8 };

/// What is wrong, by chance.
pub(crate) struct Trouble {
    chance: Chance,
    next: Millis,
    /// When it is over with: nothing begins then any more.
    ends: Millis,
    pub(crate) counts: Faults,
}

/// A fault, where it strikes, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) node: usize,
    pub(crate) lasts: Millis,
}

impl Trouble {
    /// Trouble until a time.
    pub(crate) fn until(ends: Millis, mut chance: Chance) -> Self {
        let next = chance.between(100, 1_000);
        Self { chance, next, ends, counts: Faults::default() }
    }

    /// Whether nothing begins any more.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        now >= self.ends
    }

    /// What begins now, to a world of so many nodes.
    pub(crate) fn strike(&mut self, now: Millis, nodes: usize) -> Option<Strike> {
        if self.is_over(now) || now < self.next {
            return None;
        }
        self.next = now + self.chance.between(100, 1_600);
        let chance = &mut self.chance;
        let (fault, most) = match chance.below(100) {
            0..34 if chance.happens(700) => (Fault::Partition(Cut::Both), 4 * LEASE),
            0..34 => (Fault::Partition(Cut::Answers), 4 * LEASE),
            34..66 => (Fault::Pause, 4 * LEASE),
            66..86 => (Fault::Crash, 2 * LEASE),
            86..94 => (Fault::Drain(Duration::from_millis(chance.between(0, LEASE))), 2 * LEASE),
            _ => (Fault::Storm(Weather { delay: 120, late: 60, lost: 80 }), 2 * LEASE),
        };
        let lasts = chance.between(LEASE / 10, most);
        Some(Strike { fault, node: chance.index(nodes), lasts })
    }

    /// Counts a fault that took place, and notes it.
    pub(crate) fn count(&mut self, strike: Strike, name: &str, trace: &Trace) {
        let counts = &mut self.counts;
        let (count, what) = match strike.fault {
            Fault::Partition(_) => (&mut counts.partitions, "is cut off"),
            Fault::Pause => (&mut counts.pauses, "is stopped"),
            Fault::Crash => (&mut counts.crashes, "is lost"),
            Fault::Drain(_) => (&mut counts.drains, "is shut down"),
            Fault::Storm(_) => (&mut counts.storms, "and all nodes have a storm"),
        };
        *count += 1;
        trace.note(format_args!("{name} {what} for {} ms ({:?})", strike.lasts, strike.fault));
    }

    /// The usual network at a time.
    pub(crate) fn usual(&self, now: Millis) -> Weather {
        if self.is_over(now) { Weather::FAIR } else { ROUGH }
    }
}
