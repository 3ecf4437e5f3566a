//! Which entries nobody needs any more once a checkpoint covers them: the pieces of answers that are over.
//!
//! It folds entries into runs, in order. It reads no store and decides nothing about when; that is the
//! driver's. What state is made of is never in a run: the journal is its only copy.

use crate::fact::{ChunkPart, Entry, Fact, Kept};
use crate::id::{Millis, Seq};
use crate::store::Elision;

/// Finds runs in entries that are given to it one after the other.
#[derive(Debug, Default)]
pub struct Eliding {
    /// What is told of entries older than this is dropped whole.
    forget_before: Millis,
    runs: Vec<Elision>,
    open: Option<Run>,
}

/// Entries that one is to stand for, so far.
#[derive(Debug)]
struct Run {
    from: Seq,
    step: u32,
    attempt: u32,
    kept: Vec<Kept>,
    /// The last entry, with the cursors of all.
    last: Entry,
    /// Whether it says less than the entries did.
    drops: bool,
}

impl Eliding {
    /// Of entries made before a time not even the starts and ends of blocks are kept, nor what tools emitted.
    #[must_use]
    pub fn forgetting_before(time: Millis) -> Self {
        Self { forget_before: time, ..Self::default() }
    }

    /// Takes the next entry in. The model call that it belongs to, if it does to one, must be over.
    pub fn take(&mut self, entry: &Entry) {
        let Some(piece) = Run::of(entry, entry.at < self.forget_before) else { return self.close() };
        match &mut self.open {
            Some(run) if run.goes_on_with(&piece) => run.add(piece),
            Some(_) | None => {
                self.close();
                self.open = Some(piece);
            }
        }
    }

    /// The runs that ended; one at the very end may go on and stays as it is.
    #[must_use]
    pub fn runs(self) -> Vec<Elision> {
        self.runs
    }

    fn close(&mut self) {
        let run = self.open.take().filter(|run| run.drops);
        self.runs.extend(run.map(Run::elision));
    }
}

impl Run {
    /// An entry as a run of its own, if it may be one.
    fn of(entry: &Entry, forgotten: bool) -> Option<Self> {
        let (from, step, attempt, told, kept) = match &entry.fact {
            Fact::ModelChunk { step, attempt, parts } => {
                (entry.seq, *step, *attempt, parts.len(), keep(entry, parts))
            }
            Fact::Elided { from, step, attempt, kept } => (*from, *step, *attempt, kept.len(), kept.clone()),
            Fact::ToolEmitted { .. } if forgotten => (entry.seq, 0, 0, 1, Vec::new()),
            _ => return None,
        };
        let kept = if forgotten { Vec::new() } else { kept };
        let drops = kept.len() < told;
        Some(Self { from, step, attempt, kept, last: entry.clone(), drops })
    }

    /// Whether what comes next belongs to the same model call, or is as forgotten.
    fn goes_on_with(&self, next: &Self) -> bool {
        let alike = (self.step, self.attempt) == (next.step, next.attempt);
        let silent = self.kept.is_empty() && next.kept.is_empty();
        self.last.epoch == next.last.epoch && (alike || silent)
    }

    fn add(&mut self, next: Self) {
        let (cursor, events) = (self.last.cursor, self.last.events + next.last.events);
        self.last = Entry { cursor, events, ..next.last };
        (self.step, self.attempt) = (next.step, next.attempt);
        self.kept.extend(next.kept);
        self.drops = true;
    }

    fn elision(self) -> Elision {
        let Self { from, step, attempt, kept, last, .. } = self;
        Elision { from, entry: Entry { fact: Fact::Elided { from, step, attempt, kept }, ..last } }
    }
}

/// The starts and ends of blocks among an entry's events.
fn keep(entry: &Entry, parts: &[ChunkPart]) -> Vec<Kept> {
    let told = parts.iter().zip(0u32..).filter(|(part, _)| match part {
        ChunkPart::ThinkStart
        | ChunkPart::ThinkEnd
        | ChunkPart::TextStart
        | ChunkPart::TextEnd(_)
        | ChunkPart::Void(_) => true,
        ChunkPart::Think(_) | ChunkPart::Text(_) => false,
    });
    let kept = |(part, nth): (&ChunkPart, u32)| Kept {
        cursor: entry.cursor.plus(nth),
        seq: entry.seq,
        at: entry.at,
        part: part.clone(),
    };
    told.map(kept).collect()
}
