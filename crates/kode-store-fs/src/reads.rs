//! What is read of a journal, by whoever asks: with no lease, no lock and no change.

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{After, Head, StoreError, StoreResult};

use crate::check::Report;
use crate::disk::Access;
use crate::error::damaged;
use crate::journal::Journal;
use crate::store::{OpenJournal, Store};
use crate::{checkpoint, segment};

impl Store {
    /// Reads up to where the writer has told, or, with no writer, up to where the journal is whole.
    pub(crate) fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        let read = || {
            let found = self.look(agent)?;
            found.map_or(Ok(Vec::new()), |(journal, head)| journal.read(after, head.seq, limit))
        };
        twice(read)
    }

    pub(crate) fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        let head = twice(|| Ok(self.look(agent)?.map(|(_, head)| head)))?;
        Ok(head.filter(|head| head.seq > Seq::ZERO))
    }

    /// A journal and its end. The end is asked for before the files are opened, so they have it; and no lease
    /// is granted in between, so they have nothing beyond it that is not acknowledged.
    pub(crate) fn look(&self, agent: &AgentId) -> StoreResult<Option<(OpenJournal, Head)>> {
        loop {
            let told = self.slots.told(agent);
            let Some(journal) = Journal::find(self.disk(), agent, Access::Read)? else { return Ok(None) };
            match told {
                Some(head) => return Ok(Some((journal, head))),
                None if self.slots.told(agent).is_none() => {
                    let survey = journal.survey(checkpoint::covered(self.disk(), agent)?)?;
                    return Ok(Some((journal, survey.whole.tip.head)));
                }
                None => {}
            }
        }
    }

    pub(crate) fn check(&self, agent: &AgentId) -> StoreResult<Option<Report>> {
        let covered = checkpoint::covered(self.disk(), agent)?;
        let Some(journal) = Journal::find(self.disk(), agent, Access::Read)? else {
            let gone = || {
                damaged(agent, &segment::file_name(1), 0, "a checkpoint is there, and the journal is gone")
            };
            return if covered > Seq::ZERO { Err(gone()) } else { Ok(None) };
        };
        journal.check(covered, checkpoint::fit(self.disk(), agent)?).map(Some)
    }
}

/// A journal that seems damaged is looked at once more: its agent may just have been deleted and made again
/// between two of its files.
fn twice<T>(mut read: impl FnMut() -> StoreResult<T>) -> StoreResult<T> {
    match read() {
        Err(StoreError::Damaged(_)) => read(),
        done => done,
    }
}
