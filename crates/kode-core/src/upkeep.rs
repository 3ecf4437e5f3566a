//! The care of a journal while its agent is at rest: when a checkpoint is due, what may be elided behind it, and
//! the note that all is synced. All of it only makes a later start faster or surer: without it the journal tells
//! the same.

use crate::elide::Eliding;
use crate::id::{Millis, Seq};
use crate::machine::State;
use crate::store::{After, Checkpoint, Durability, Lease, Store, StoreError};

/// A journal's tail is never folded into a checkpoint below this many entries, while its agent is in use.
const CHECKPOINT_MIN_TAIL: u64 = 512;
/// What an entry weighs in a journal against the bytes of a checkpoint, about.
const ENTRY_BYTES: u64 = 256;
/// How much sooner an agent that is put away gets its checkpoint: who looks at it next begins from there.
const LEAVING: u64 = 4;
/// Runs are never looked for in fewer entries than this.
const ELIDE_MIN: u64 = 1_024;
/// Nor, unless old events are to be forgotten, is more read at once than this and the tail of one checkpoint.
const ELIDE_MAX: u64 = 1 << 16;
/// Entries read at a time.
const PAGE: usize = 1_024;

/// What is known of a journal's checkpoint and of what lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Upkeep {
    /// The seq that the checkpoint covers.
    covered: Seq,
    /// What the checkpoint weighs, in bytes.
    weight: u64,
    /// Up to here runs were looked for.
    elided: Seq,
    /// The seq that was last noted as synced.
    attested: Seq,
}

/// What a checkpoint says, as state and as care.
pub(crate) fn restore(checkpoint: Option<&Checkpoint>) -> (State, Upkeep) {
    let restored = checkpoint.and_then(|checkpoint| Some((checkpoint, State::restore(checkpoint)?)));
    restored.map_or_else(Default::default, |(checkpoint, (state, elided))| {
        let (covered, weight) = (state.seq, weight(checkpoint));
        (state, Upkeep { covered, weight, elided, attested: covered })
    })
}

fn weight(checkpoint: &Checkpoint) -> u64 {
    checkpoint.files.values().map(|file| file.len() as u64).sum()
}

impl Upkeep {
    /// The seq that the checkpoint covers.
    pub(crate) fn covered(&self) -> Seq {
        self.covered
    }

    /// Whether the tail behind the checkpoint outgrew it: what a turn costs stays what it adds, and what a
    /// start costs stays about what the state weighs, however many entries led to it.
    fn is_due(&self, state: &State, leaving: bool) -> bool {
        let tail = state.seq.0 - self.covered.0;
        let grown = tail.saturating_mul(ENTRY_BYTES);
        match leaving {
            true => tail > 0 && grown * LEAVING >= self.weight,
            false => tail >= CHECKPOINT_MIN_TAIL && grown >= self.weight,
        }
    }

    /// Whether as many entries came since runs were last looked for as there were before: so an entry is
    /// written anew once, and a journal has few parts.
    fn may_elide(&self, forget: bool) -> bool {
        let most = if forget { u64::MAX } else { ELIDE_MAX };
        self.covered.0 - self.elided.0 >= self.elided.0.clamp(ELIDE_MIN, most)
    }
}

/// One agent's journal, under its lease.
pub(crate) struct Care<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) lease: &'a Lease,
    pub(crate) state: &'a State,
    /// Events of before are told to nobody any more.
    pub(crate) forget_before: Option<Millis>,
}

impl Care<'_> {
    /// Writes a checkpoint if one is due, and has elided what it covers if that is worth it. The agent must be at
    /// rest, so that every model call is over.
    ///
    /// # Errors
    /// The store's. What was written before the error stays.
    pub(crate) async fn checkpoint(&self, upkeep: &mut Upkeep, leaving: bool) -> Result<(), StoreError> {
        if !upkeep.is_due(self.state, leaving) {
            return Ok(());
        }
        let checkpoint = self.state.to_checkpoint_over(upkeep.elided);
        self.store.save_checkpoint(self.lease, &checkpoint).await?;
        (upkeep.covered, upkeep.attested) = (checkpoint.seq, checkpoint.seq);
        upkeep.weight = weight(&checkpoint);
        if upkeep.may_elide(self.forget_before.is_some()) { self.elide(upkeep).await } else { Ok(()) }
    }

    async fn elide(&self, upkeep: &mut Upkeep) -> Result<(), StoreError> {
        // What was young when it was elided may be old by now.
        let mut place = if self.forget_before.is_some() { Seq::ZERO } else { upkeep.elided };
        let mut eliding = Eliding::forgetting_before(self.forget_before.unwrap_or_default());
        while place < upkeep.covered {
            let page = self.store.read(&self.lease.agent, After::Seq(place), PAGE).await?;
            let Some(last) = page.last() else { break };
            page.iter().take_while(|entry| entry.seq <= upkeep.covered).for_each(|entry| eliding.take(entry));
            place = last.seq;
        }
        let runs = eliding.runs();
        if !runs.is_empty() {
            self.store.elide(self.lease, &runs).await?;
        }
        upkeep.elided = upkeep.covered;
        Ok(())
    }

    /// Lets the store note, once for each rest, that all is synced: the last answer too is then known to have
    /// been whole.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn attest(&self, upkeep: &mut Upkeep) -> Result<(), StoreError> {
        if upkeep.attested < self.state.seq {
            self.store.append(self.lease, self.state.seq, &[], Durability::Buffered).await?;
            upkeep.attested = self.state.seq;
        }
        Ok(())
    }
}
