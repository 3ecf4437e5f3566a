//! A port beside the journal: counts by name and day that all nodes share, such as of what a key has spent.

use async_trait::async_trait;

use super::StoreResult;
use crate::id::Millis;

const DAY_MS: Millis = 86_400_000;

/// A day, by its number since 1970-01-01, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The day of a time.
    #[must_use]
    pub fn of(at: Millis) -> Self {
        Self(u32::try_from(at / DAY_MS).unwrap_or(u32::MAX))
    }

    /// How long it is until the next day begins.
    #[must_use]
    pub fn left(at: Millis) -> Millis {
        DAY_MS - at % DAY_MS
    }
}

/// Counts by name and day.
///
/// A name is any text of at most 1 KiB. Each addition is atomic among all writers and nodes, and survives the death of
/// the process; power loss may take the last ones. A store may forget days before yesterday.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Adds to a count, which is zero at first, and gives what it is now. It stops at `u64::MAX`.
    ///
    /// # Errors
    /// `Unavailable` or `Full`: whether it was added is not known.
    async fn add(&self, name: &str, day: Day, n: u64) -> StoreResult<u64>;

    /// What a count is.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn count(&self, name: &str, day: Day) -> StoreResult<u64>;
}
