//! One step: an input is accepted, then the machine advances until it rests; each fact becomes an entry and
//! is folded in at once.

use crate::event::Envelope;
use crate::fact::{Entry, Fact};
use crate::id::{Cursor, Seq};
use crate::store::Durability;

use super::project::events;
use super::{Cx, Input, Rejected, State, project};

/// What one or more steps gave, to be appended as one unit before anyone hears of it.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "entries that are not appended are lost"]
pub struct Batch {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// Their events, in order.
    pub envelopes: Vec<Envelope>,
}

impl Batch {
    /// The head that the journal must have before the append.
    #[must_use]
    pub fn expected(&self) -> Option<Seq> {
        self.entries.first().map(|e| Seq(e.seq.0 - 1))
    }

    /// The weakest grade that keeps the guarantees.
    #[must_use]
    pub fn grade(&self) -> Durability {
        if self.entries.iter().all(|e| e.fact.may_be_buffered()) {
            Durability::Buffered
        } else {
            Durability::Synced
        }
    }

    /// Whether there is nothing to append.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl State {
    /// Takes one input in, in place, and adds what follows from it to `batch`.
    ///
    /// # Errors
    /// The refusal of [`State::accept`]; state and batch are as they were.
    pub fn step(&mut self, cx: &Cx<'_>, input: Input, batch: &mut Batch) -> Result<(), Rejected> {
        self.take(cx, input, batch)?;
        while let Some(fact) = self.advance(cx) {
            self.commit(cx, fact, batch);
        }
        Ok(())
    }

    /// Takes one input in without moving on: what follows from it is left to the next writer, as after a
    /// crash right behind it. For a writer that runs no effects.
    ///
    /// # Errors
    /// The refusal of [`State::accept`]; state and batch are as they were.
    pub fn take(&mut self, cx: &Cx<'_>, input: Input, batch: &mut Batch) -> Result<(), Rejected> {
        for fact in self.accept(cx, input)? {
            self.commit(cx, fact, batch);
        }
        Ok(())
    }

    fn commit(&mut self, cx: &Cx<'_>, fact: Fact, batch: &mut Batch) {
        let events = u32::try_from(events(&fact).len()).unwrap_or(u32::MAX);
        let seq = self.seq.next();
        let entry = Entry { seq, epoch: cx.epoch, at: cx.now, cursor: self.next_cursor(cx), events, fact };
        self.evolve(&entry);
        batch.envelopes.extend(project(&entry));
        batch.entries.push(entry);
    }

    fn next_cursor(&self, cx: &Cx<'_>) -> Cursor {
        self.cursor.max(Cursor::start_of(cx.epoch)).plus(1)
    }
}
