//! The real hub and the real tables of pool and file store, compiled once more on locks whose interleavings a
//! scheduler chooses. Tests only.
//!
#![doc = include_str!("../README.md")]
#![cfg(test)]
#![expect(dead_code, reason = "the races do not use all that the other crates use of these files")]

mod agents;
mod group_races;
#[path = "../../kode-core/src/hub.rs"]
#[expect(unreachable_pub, reason = "it is public where it belongs")]
mod hub;
mod hub_races;
#[path = "../../kode-store-fs/src/log/group.rs"]
mod log_group;
mod pool_races;
#[path = "../../kode-pool/src/slots.rs"]
mod pool_slots;
mod store_races;
#[path = "../../kode-store-fs/src/slots.rs"]
mod store_slots;
mod watch;
mod writer;

use kode_core::{event, fact, id, machine, store};

/// What these files stand on here. What waits for a oneshot or a shared future is taken as one step.
mod ground {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

    pub(crate) use crate::agents::{Agent, Opened};
    pub(crate) use crate::watch;
}

/// The files as they are.
mod real {
    pub(crate) use crate::{hub, log_group, pool_slots, store_slots};
}

/// The files with a bug each.
#[expect(unreachable_pub, reason = "they are public where they belong")]
mod planted {
    pub(crate) mod hub {
        include!(concat!(env!("OUT_DIR"), "/hub.rs"));
    }
    pub(crate) mod log_group {
        include!(concat!(env!("OUT_DIR"), "/log_group.rs"));
    }
    pub(crate) mod pool_slots {
        include!(concat!(env!("OUT_DIR"), "/pool_slots.rs"));
    }
    pub(crate) mod store_slots {
        include!(concat!(env!("OUT_DIR"), "/store_slots.rs"));
    }
}

#[expect(unreachable_pub, reason = "it is public where it belongs")]
#[path = "../../kode-pool/src/error.rs"]
mod error;
#[path = "../../kode-pool/src/recency.rs"]
mod recency;

/// Interleavings that are tried of each race, where nobody asks for more.
const USUAL: u64 = 4_000;

/// Tries many interleavings of a race.
fn explore(name: &str, race: fn()) {
    search(race, kode_testkit::rounds::rounds(name, USUAL, 100_000));
}

/// Whether the search that is made usually finds something wrong.
fn finds(race: fn()) -> bool {
    std::panic::catch_unwind(|| search(race, USUAL)).is_err()
}

/// At random, and with few changes of thread at the worst of times.
fn search(race: fn(), interleavings: u64) {
    let half = usize::try_from(interleavings / 2).expect("a count");
    shuttle::check_random(race, half);
    shuttle::check_pct(race, half, 3);
}
