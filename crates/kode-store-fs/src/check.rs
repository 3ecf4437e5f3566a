//! Reading a whole journal, line by line, to say whether it is good. It never writes.

use kode_core::id::Seq;
use kode_core::store::{After, StoreResult};

use crate::disk::Source;
use crate::journal::Journal;

/// How many entries are held at once.
const PAGE: usize = 1_000;

/// What a check of a journal found: every line is whole and follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How many files the journal has.
    pub segments: u32,
    /// The last entry.
    pub head: Seq,
    /// Bytes of a torn tail, which the next writer cuts: they were never acknowledged as synced.
    pub torn: u64,
    /// The oldest format among the segments.
    pub format: u32,
    /// What is beside the journal.
    pub checkpoint: Fit,
}

/// Whether a checkpoint is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// There is none.
    None,
    /// Its files have the hashes that it names; it stands for this entry.
    Whole(Seq),
    /// Its files do not fit together, as a crash may leave them: it is not used, and nothing is lost with it.
    Unusable,
}

impl<S: Source> Journal<S> {
    /// Reads everything. `covered`: what a checkpoint says was on the disk.
    ///
    /// # Errors
    /// `Damaged` at the first bad line; `Incompatible`; `Unavailable`.
    pub(crate) fn check(&self, covered: Seq, checkpoint: Fit) -> StoreResult<Report> {
        let whole = self.survey(covered)?.whole;
        let head = whole.tip.head.seq;
        let mut read = Seq::ZERO;
        while let Some(last) = self.read(After::Seq(read), head, PAGE)?.last() {
            read = last.seq;
        }
        let format = self.segments().map(|segment| segment.header.format).min().unwrap_or_default();
        Ok(Report {
            segments: self.last_number(),
            head,
            torn: self.last().end() - whole.at,
            format,
            checkpoint,
        })
    }
}
