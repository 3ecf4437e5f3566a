//! The one writer of a journal, for the time of one lease: takes the journal up whole, then appends.
//!
//! It knows nothing of leases and never retries. After a failed write or sync it takes nothing any more, and
//! the next writer is told what to distrust.

use std::io;
use std::sync::Arc;

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Epoch, Seq};
use kode_core::store::{Durability, Head, StoreError, StoreResult, check_batch};
use serde_json::value::RawValue;

use crate::chain::Tip;
use crate::commit::Commit;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::failed;
use crate::journal::{Journal, Survey};
use crate::line::{self, FORMAT, Header};
use crate::reserve;
use crate::stage::{self, Open};

/// What a journal is written with.
#[derive(Clone)]
pub(crate) struct Tools {
    /// Where.
    pub disk: Arc<dyn Disk>,
    /// How it becomes durable.
    pub commit: Arc<dyn Commit>,
}

/// A batch, made ready outside of every lock.
pub(crate) struct Batch {
    json: Box<RawValue>,
    /// Where the journal ends with it; `None` if it has no entries.
    head: Option<Head>,
    /// The epoch of its first entry.
    begins: Option<Epoch>,
    /// Why it must not be written.
    flaw: Option<StoreError>,
}

impl Batch {
    /// A batch that is to follow `expected` under `epoch`.
    pub(crate) fn of(entries: &[Entry], expected: Seq, epoch: Epoch) -> Self {
        let head = entries.last().map(|e| Head { seq: e.seq, epoch: e.epoch, cursor: e.last_cursor() });
        let begins = entries.first().map(|first| first.epoch);
        let flaw = check_batch(entries, expected, epoch).err();
        Self { json: line::entries_json(entries), head, begins, flaw }
    }

    /// Whether its entries are of this epoch.
    pub(crate) fn begins_in(&self, epoch: Epoch) -> bool {
        self.begins == Some(epoch)
    }

    /// Whether it may follow an entry of this epoch.
    fn check(&self, last: Epoch) -> StoreResult<()> {
        self.flaw.clone().map_or(Ok(()), Err)?;
        match self.begins {
            Some(epoch) if epoch < last => Err(StoreError::Fenced { epoch, current: last }),
            Some(_) | None => Ok(()),
        }
    }
}

/// A segment taken up, and how much of the journal is on the disk then.
struct Taken {
    open: Open,
    synced: Seq,
    settled: Seq,
}

/// A journal under a lease.
pub(crate) struct Writer {
    tools: Tools,
    agent: AgentId,
    /// `None` until the first append of all.
    open: Option<Open>,
    tip: Tip,
    /// Up to here the journal is known to be on the disk, by itself or in the log.
    synced: Seq,
    /// Up to here the segments themselves are.
    settled: Seq,
    /// Up to here the last line that was written says so.
    attested: Seq,
    /// Whether this writer has appended. Its first append is synced whatever is asked for: so an epoch of
    /// which anything was told is on the disk, and one that a power loss takes back was never seen.
    begun: bool,
    /// Where the journal ended after the last append that succeeded.
    told: Head,
    /// Whether the name of the agent's directory is known to be on the disk by itself.
    named: bool,
    /// Appends that are written, and that [`Writer::committed`] is still to be called for.
    awaiting: u32,
    failed: bool,
    /// Whether what lies beyond `synced` may not be on the disk although it can be read.
    distrusted: bool,
}

impl Writer {
    /// Takes a journal up: cuts a torn tail, and makes sure that the next sync covers all that is there.
    ///
    /// `covered`: what a checkpoint says was on the disk. `suspect`: after a failed sync of this process, up to
    /// where the journal is trusted; cleared once the rest was written anew.
    pub(crate) fn take(
        tools: Tools,
        agent: &AgentId,
        covered: Seq,
        suspect: &mut Option<Seq>,
    ) -> StoreResult<Self> {
        let Some(journal) = Journal::find(&*tools.disk, agent, Access::Write)? else {
            *suspect = None;
            return Ok(Self::new(tools, agent));
        };
        let survey = journal.survey(covered.max(suspect.unwrap_or_default()))?;
        let whole = survey.whole.tip;
        let taken = match *suspect {
            Some(trusted) => rewrite(&tools, agent, &journal, survey, trusted),
            None => mend(&tools, agent, journal, survey, suspect),
        };
        let Taken { open, synced, settled } = taken.map_err(failed("taking a journal up"))?;
        *suspect = None;
        Ok(Self {
            open: Some(open),
            tip: whole,
            told: whole.head,
            synced,
            settled,
            ..Self::new(tools, agent)
        })
    }

    fn new(tools: Tools, agent: &AgentId) -> Self {
        let tip = Tip::first(agent);
        Self {
            tools,
            agent: agent.clone(),
            open: None,
            tip,
            synced: Seq::ZERO,
            settled: Seq::ZERO,
            attested: Seq::ZERO,
            begun: false,
            told: tip.head,
            named: false,
            awaiting: 0,
            failed: false,
            distrusted: false,
        }
    }

    /// Where the journal ended after the last append that succeeded: readers go no further.
    pub(crate) fn told(&self) -> Head {
        self.told
    }

    /// Whether this writer has appended anything.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether an append takes nothing but a write now, whatever it then waits for.
    pub(crate) fn can_write(&self) -> bool {
        self.begun && !self.tools.commit.is_behind()
    }

    /// Whether an append of this grade waits for nothing. One behind others that wait is told after them.
    fn is_mere_write(&self, grade: Durability) -> bool {
        self.can_write() && grade == Durability::Buffered && self.awaiting == 0
    }

    /// Whether something is written and not known to be durable that somebody waits for.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.awaiting > 0
    }

    /// Up to where the journal is to be trusted, if this writer's last sync failed.
    pub(crate) fn suspect(&self) -> Option<Seq> {
        self.distrusted.then_some(self.settled)
    }

    /// Appends a batch as one line, and waits for the disk if need be.
    pub(crate) fn append(&mut self, expected: Seq, batch: Batch, grade: Durability) -> StoreResult<()> {
        if self.put(expected, batch, grade)? {
            self.commit()?;
        }
        self.told = self.tip.head;
        Ok(())
    }

    /// Appends a batch as one line. Where it has to wait for the disk, that is the caller's, who then calls
    /// [`Writer::committed`] with the end that this gives.
    pub(crate) fn append_ahead(
        &mut self,
        expected: Seq,
        batch: Batch,
        grade: Durability,
    ) -> StoreResult<Option<Head>> {
        if self.put(expected, batch, grade)? && self.synced < self.tip.head.seq {
            self.awaiting += 1;
            return Ok(Some(self.tip.head));
        }
        self.told = self.tip.head;
        Ok(None)
    }

    /// What became of an append that was waited for elsewhere.
    pub(crate) fn committed(&mut self, end: Head, outcome: StoreResult<()>) -> StoreResult<()> {
        self.awaiting -= 1;
        match &outcome {
            Ok(()) => {
                self.synced = self.synced.max(end.seq);
                if self.told.seq < end.seq {
                    self.told = end;
                }
            }
            Err(_) => (self.failed, self.distrusted) = (true, true),
        }
        outcome
    }

    /// Writes a batch as one line, and tells whether it has to wait for the disk.
    fn put(&mut self, expected: Seq, batch: Batch, grade: Durability) -> StoreResult<bool> {
        self.usable()?;
        if expected != self.tip.head.seq {
            return Err(StoreError::Conflict { expected, actual: self.tip.head.seq });
        }
        batch.check(self.tip.head.epoch)?;
        let room = make_room(&*self.tools.commit);
        self.noting(room, "appending to a journal")?;
        let waits = !self.is_mere_write(grade);
        let written = match batch.head {
            None if grade == Durability::Buffered && self.has_more_to_attest() => {
                self.write(self.tip.head, &batch.json)
            }
            None => Ok(()),
            Some(head) => self.write(head, &batch.json),
        };
        self.distrusted |= written.is_err() && self.open.is_none();
        self.noting(written, "appending to a journal")?;
        Ok(waits)
    }

    /// Whether a mark would tell a later reader of more than it could know without.
    fn has_more_to_attest(&self) -> bool {
        self.begun && self.synced == self.tip.head.seq && self.synced > self.attested
    }

    /// Sees to it that what is kept beside the journal is found again: of that the log knows nothing, so the agent's name
    /// must be on the disk without it.
    pub(crate) fn settle_name(&mut self, sync: impl FnOnce() -> io::Result<()>) -> StoreResult<()> {
        if !self.named {
            sync().map_err(failed("syncing an agent's name"))?;
            self.named = true;
        }
        Ok(())
    }

    /// Returns once everything up to `seq` is on the disk.
    pub(crate) fn sync_to(&mut self, seq: Seq) -> StoreResult<()> {
        self.usable()?;
        if seq > self.tip.head.seq || self.open.is_none() {
            return Err(StoreError::Conflict { expected: seq, actual: self.tip.head.seq });
        }
        if seq > self.synced { self.commit() } else { Ok(()) }
    }

    fn usable(&self) -> StoreResult<()> {
        let why = "an append failed under this lease; acquire a new one";
        if self.failed { Err(StoreError::Unavailable(why.into())) } else { Ok(()) }
    }

    fn noting<T>(&mut self, result: io::Result<T>, doing: &str) -> StoreResult<T> {
        self.failed |= result.is_err();
        result.map_err(failed(doing))
    }

    fn commit(&mut self) -> StoreResult<()> {
        let committed = match &self.open {
            Some(_) if self.tip.head.seq > self.synced => self.tools.commit.commit(),
            Some(_) | None => Ok(()),
        };
        self.distrusted |= committed.is_err();
        self.noting(committed, "syncing a journal")?;
        self.synced = self.tip.head.seq;
        Ok(())
    }

    /// Puts the segment itself on the disk, whatever holds its lines besides.
    fn settle(&mut self) -> StoreResult<()> {
        let synced = self.open.as_ref().map_or(Ok(()), |open| open.file.sync());
        self.distrusted |= synced.is_err();
        self.noting(synced, "syncing a journal")?;
        (self.synced, self.settled) = (self.tip.head.seq, self.tip.head.seq);
        Ok(())
    }

    /// Writes one line at the end, with one write.
    fn write(&mut self, head: Head, json: &RawValue) -> io::Result<()> {
        let (line, crc) = line::write(self.tip.crc, self.synced, head, json);
        self.attested = self.synced;
        match &mut self.open {
            Some(open) => {
                open.file.write_at(&line, open.end)?;
                open.end += line.len() as u64;
            }
            None => {
                let header = Header::first(&self.agent, head.seq);
                self.open = Some(stage::first(&*self.tools.disk, &header, &line)?);
                self.settled = head.seq;
            }
        }
        self.tools.commit.note(&self.agent, &line);
        self.tip = Tip { head, crc };
        self.begun = true;
        Ok(())
    }

    /// Ends the segment that is written to, all of it on the disk, and goes on in the next one. The ended one
    /// can then be replaced, since nothing that is acknowledged later is in it.
    pub(crate) fn roll(&mut self, segment: u32) -> StoreResult<()> {
        self.usable()?;
        self.settle()?;
        let disk = self.tools.disk.clone();
        let header = self.header(segment, self.tip.head.seq);
        let next = stage::unnamed(&*disk, &header, &[]).map_err(failed("going on in a new segment"))?;
        // Whether a name that was not synced is there after a power loss is not known; nor would be what follows.
        let named = next.name(&*disk);
        self.distrusted |= named.is_err();
        self.open = Some(self.noting(named, "going on in a new segment")?);
        Ok(())
    }

    /// The header of a segment that begins where the journal ends.
    fn header(&self, segment: u32, synced: Seq) -> Header {
        let Tip { head, crc } = self.tip;
        Header { prev: crc, format: FORMAT, agent: self.agent.clone(), segment, after: head, synced }
    }
}

/// While the log cannot be written, what waits for it must not grow without end.
fn make_room(commit: &dyn Commit) -> io::Result<()> {
    if commit.is_behind() { commit.commit() } else { Ok(()) }
}

/// Cuts a torn tail and writes the rest of the tail once more, in its place and with the same bytes: it was
/// read from the kernel's cache, which may hold it as clean although an older process's sync failed. Now the
/// next commit covers it. A crash in between changes nothing, since every byte stays what it was.
fn mend(
    tools: &Tools,
    agent: &AgentId,
    journal: Journal<Box<dyn DiskFile>>,
    survey: Survey,
    suspect: &mut Option<Seq>,
) -> io::Result<Taken> {
    let Survey { safe, whole } = survey;
    let segment = journal.into_last();
    let begins = segment.header.after.seq;
    let torn = segment.end() > whole.at;
    let tail = segment.bytes(safe.at, whole.at)?;
    make_room(&*tools.commit)?;
    let file = segment.into_source();
    file.write_at(&tail, safe.at)?;
    let end = whole.tip.head.seq;
    if torn {
        file.set_len(whole.at)?;
        *suspect = Some(begins);
        file.sync()?;
        return Ok(Taken { open: Open { file, end: whole.at }, synced: end, settled: end });
    }
    tail.split_inclusive(|byte| *byte == b'\n').for_each(|line| tools.commit.note(agent, line));
    Ok(Taken { open: Open { file, end: whole.at }, synced: safe.tip.head.seq, settled: begins })
}

/// Writes what lies beyond `trusted` into a new segment. Its name, given once it is on the disk, is the one
/// step that makes it count: from then on the old segment ends where the new one says it begins.
fn rewrite(
    tools: &Tools,
    agent: &AgentId,
    journal: &Journal<Box<dyn DiskFile>>,
    survey: Survey,
    trusted: Seq,
) -> io::Result<Taken> {
    let last = journal.last();
    let from = last.seek(|head| head.seq <= trusted)?;
    let tail = last.bytes(from.at, survey.whole.at)?;
    let end = survey.whole.tip.head.seq;
    let header = Header {
        prev: from.tip.crc,
        format: FORMAT,
        agent: agent.clone(),
        segment: journal.last_number() + 1,
        after: from.tip.head,
        synced: end,
    };
    let disk = &*tools.disk;
    let open = reserve::even_when_full(disk, || stage::unnamed(disk, &header, &tail)?.name(disk))?;
    Ok(Taken { open, synced: end, settled: end })
}
