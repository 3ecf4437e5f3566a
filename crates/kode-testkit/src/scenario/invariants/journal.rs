//! The journal: gapless, one epoch after another, cursors contiguous, and its fold the live state.

use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::id::{Cursor, Epoch, Seq};
use kode_core::machine::State;

use super::{Checked, hold};

#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    seq: Seq,
    epoch: Epoch,
    cursor: Cursor,
    /// The fold of the entries as JSON brings them back.
    replayed: State,
}

impl Journal {
    pub(super) fn entry(&mut self, entry: &Entry, told: &[Envelope]) -> Checked {
        hold!(entry.seq == self.seq.next(), "entry {} follows entry {}", entry.seq, self.seq);
        hold!(entry.epoch >= self.epoch, "the epoch fell from {} to {}", self.epoch, entry.epoch);
        hold!(told.len() == entry.events as usize, "{} events, {} counted", told.len(), entry.events);
        self.cursors(entry, told)?;
        let read = round_trip(entry)?;
        hold!(read == *entry, "an entry reads back as another: {entry:?}\n  read: {read:?}");
        self.replayed.evolve(&read);
        (self.seq, self.epoch) = (entry.seq, entry.epoch);
        Ok(())
    }

    /// Within an epoch each cursor is the one after the last; a new epoch begins with its first.
    fn cursors(&mut self, entry: &Entry, told: &[Envelope]) -> Checked {
        let next = self.cursor.max(Cursor::start_of(entry.epoch)).plus(1);
        hold!(entry.cursor == next, "cursor {} where {next} is next", entry.cursor);
        for envelope in told {
            let next = self.cursor.max(Cursor::start_of(entry.epoch)).plus(1);
            hold!(envelope.cursor == next, "event {} where {next} is next", envelope.cursor);
            hold!(envelope.cursor.epoch() == entry.epoch, "event {next} lies outside its epoch");
            hold!(envelope.bookmark.seq == entry.seq, "event {next} names another entry");
            self.cursor = envelope.cursor;
        }
        Ok(())
    }

    /// Replay equals live, by journal and by checkpoint.
    pub(super) fn state(&self, state: &State) -> Checked {
        hold!(self.replayed == *state, "the fold of the journal differs from the live state");
        let restored = State::from_checkpoint(&state.to_checkpoint());
        hold!(restored.as_ref() == Some(state), "the state does not survive its checkpoint");
        Ok(())
    }
}

fn round_trip(entry: &Entry) -> Result<Entry, String> {
    let json = serde_json::to_string(entry).map_err(|e| format!("an entry cannot be written: {e}"))?;
    serde_json::from_str(&json).map_err(|e| format!("an entry cannot be read back: {e}: {json}"))
}
