//! The entry of a journal: a fact with its place, its writer and its time. What a fact means is not told here.

use serde::{Deserialize, Serialize};

use super::Fact;
use crate::id::{Cursor, Epoch, Millis, Seq};

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place; gapless from 1, where an elided entry stands for a whole range.
    pub seq: Seq,
    /// The epoch of its writer; never falls.
    pub epoch: Epoch,
    /// When it was made.
    pub at: Millis,
    /// The cursor of its first event, or the one that the next event will have, if it tells none.
    pub cursor: Cursor,
    /// How many cursors are its events'. It tells as many events, or fewer where some were elided.
    pub events: u32,
    /// What happened.
    pub fact: Fact,
}

impl Entry {
    /// The last cursor used up to and including this entry.
    #[must_use]
    pub fn last_cursor(&self) -> Cursor {
        Cursor(self.cursor.0 + u64::from(self.events) - 1)
    }
}

impl Fact {
    /// Whether the fact may be lost with the power: true for pieces of an answer only.
    #[must_use]
    pub fn may_be_buffered(&self) -> bool {
        matches!(self, Self::ModelChunk { .. })
    }
}
