//! The store: what each port asks, as steps on the disk. Everything here blocks; [`crate::FsStore`] is the
//! asynchronous shell around it.

use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use kode_core::id::{AgentId, Epoch, Millis, Seq};
use kode_core::store::{
    BlobName, BlobPart, Checkpoint, Durability, Elision, Head, Lease, StoreError, StoreResult, check_runs,
};

use crate::checkpoint;
use crate::commit::{Commit, Nowhere};
use crate::counts::Counts;
use crate::directory::Names;
use crate::disk::{Access, Disk};
use crate::error::{failed, found};
use crate::journal::Journal;
use crate::line::{FORMAT, Header};
use crate::log::{self, NodeLog};
use crate::slots::{Held, Slots, State};
use crate::writer::{Batch, Tools, Writer};
use crate::{blobs, elide, layout, names, opening, removal, reserve, stage};

const AWAITS_REPLAY: &str = "the machine went down while the store was in use, and what was acknowledged last is in its log alone; \
     open it for writing once (start the server, or run a command that writes), which puts it in its place";

/// An open store.
pub(crate) struct Store {
    pub(crate) tools: Tools,
    pub(crate) slots: Slots,
    pub(crate) counts: Counts,
    /// The names of marks, and of agents.
    marks: Names,
    agents: Names,
    /// Whether writing is refused.
    read_only: bool,
    /// Held for as long as the store is open.
    _lock: Option<Box<dyn Any + Send + Sync>>,
}

impl Store {
    /// Takes the directory's lock and finishes what a crash left behind.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> StoreResult<Self> {
        Self::open_with(disk, |disk| Ok(Arc::new(NodeLog::open(disk)?)))
    }

    /// The same with another way to make appends durable.
    pub(crate) fn open_with(
        disk: Arc<dyn Disk>,
        commit: impl FnOnce(Arc<dyn Disk>) -> StoreResult<Arc<dyn Commit>>,
    ) -> StoreResult<Self> {
        let lock = opening::lock(&*disk)?;
        opening::prepare(&*disk)?;
        let tools = Tools { commit: commit(disk.clone())?, disk };
        Ok(Self::of(tools, Some(lock)))
    }

    /// Takes no lock and changes nothing.
    pub(crate) fn open_read_only(disk: Arc<dyn Disk>) -> StoreResult<Self> {
        opening::check_marker(&*disk)?;
        if log::awaits_replay(&*disk)? {
            return Err(StoreError::Unavailable(AWAITS_REPLAY.into()));
        }
        let tools = Tools { disk, commit: Arc::new(Nowhere) };
        Ok(Self::of(tools, None))
    }

    fn of(tools: Tools, lock: Option<Box<dyn Any + Send + Sync>>) -> Self {
        let read_only = lock.is_none();
        let (marks, agents) = (Names::of(layout::UNFINISHED), Names::of(""));
        let (slots, counts) = (Slots::default(), Counts::default());
        Self { tools, slots, counts, marks, agents, read_only, _lock: lock }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.tools.disk
    }

    pub(crate) fn writable(&self) -> StoreResult<()> {
        let why = "it was opened read-only";
        if self.read_only { Err(StoreError::Unavailable(why.into())) } else { Ok(()) }
    }

    /// Works under a lease, one at a time for each agent.
    fn under<T>(&self, lease: &Lease, work: impl FnOnce(&mut Held) -> StoreResult<T>) -> StoreResult<T> {
        self.writable()?;
        self.slots.enter(&lease.agent, |state| work(state.in_force(lease.epoch)?))
    }

    pub(crate) fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        batch: Batch,
        grade: Durability,
    ) -> StoreResult<()> {
        self.under(lease, |held| {
            held.writer.append(expected, batch, grade)?;
            // Entries of another store's epochs may be covered by a tombstone of this one, and are alive.
            match held.writer.told().epoch < lease.epoch {
                true => held.writer.settle_name(|| self.sync_names(&lease.agent)),
                false => Ok(()),
            }
        })
    }

    /// Whether the lease in force has written nothing yet, and the batch is its own. Waits for nobody.
    pub(crate) fn begins(&self, lease: &Lease, batch: &Batch) -> bool {
        let fresh = |held: &Held| !held.writer.has_begun();
        batch.begins_in(lease.epoch) && self.slots.try_enter(lease, fresh, |_| Ok(())).is_some()
    }

    /// Appends without waiting for a sync.
    pub(crate) fn append_ahead(
        &self,
        lease: &Lease,
        expected: Seq,
        batch: Batch,
        grade: Durability,
    ) -> StoreResult<Ahead> {
        self.under(lease, |held| {
            let end = held.writer.append_ahead(expected, batch, grade)?;
            Ok(end.map_or(Ahead::Done, Ahead::Written))
        })
    }

    /// Appends without waiting for a lock or a sync; gives the batch back where that is not possible.
    pub(crate) fn try_append(
        &self,
        lease: &Lease,
        expected: Seq,
        batch: Batch,
        grade: Durability,
    ) -> Result<StoreResult<Ahead>, Batch> {
        let mut batch = Some(batch);
        let can_write = |held: &Held| held.writer.can_write();
        let done = self.slots.try_enter(lease, can_write, |held| {
            let batch = batch.take().expect("the work is done at most once");
            let end = held.writer.append_ahead(expected, batch, grade)?;
            Ok(end.map_or(Ahead::Done, Ahead::Written))
        });
        done.ok_or_else(|| batch.take().expect("the work was not done"))
    }

    /// Says what became of an append that was [`Ahead::Written`]. Waits for whoever works on the agent.
    pub(crate) fn committed(&self, lease: &Lease, end: Head, outcome: StoreResult<()>) -> StoreResult<()> {
        self.slots.enter(&lease.agent, |state| match state.in_force(lease.epoch) {
            Ok(held) => held.writer.committed(end, outcome),
            // Whoever ended the lease saw to what it had written.
            Err(_) => outcome,
        })
    }

    /// The same if nobody works on the agent; `None` otherwise.
    pub(crate) fn try_committed(
        &self,
        lease: &Lease,
        end: Head,
        outcome: &StoreResult<()>,
    ) -> Option<StoreResult<()>> {
        self.slots.try_enter(lease, |_| true, |held| held.writer.committed(end, outcome.clone()))
    }

    /// Returns once every line that was written survives a power loss.
    pub(crate) fn commit(&self) -> StoreResult<()> {
        self.tools.commit.commit().map_err(failed("syncing a journal"))
    }

    /// Replaces runs in the segments that are over; the one that is written to is ended first, if it has any.
    /// So every line is written at most once more, and a crash leaves each segment as it was or as it is to be.
    pub(crate) fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        self.under(lease, |held| {
            check_runs(runs, checkpoint::covered(self.disk(), &lease.agent)?)?;
            let find = || Journal::find(self.disk(), &lease.agent, Access::Read);
            let (Some(last), Some(journal)) = (runs.last(), find()?) else { return Ok(()) };
            held.writer.settle_name(|| self.sync_names(&lease.agent))?;
            if last.entry.seq > journal.last().header.after.seq {
                held.writer.roll(journal.last_number() + 1)?;
            }
            find()?.map_or(Ok(()), |journal| self.replace(&lease.agent, &journal, runs))
        })
    }

    fn replace(&self, agent: &AgentId, journal: &OpenJournal, runs: &[Elision]) -> StoreResult<()> {
        for (segment, until) in journal.closed() {
            if let Some(lines) = elide::lines(agent, segment, until, runs)? {
                let header = Header { format: FORMAT, synced: until.seq, ..segment.header.clone() };
                let replaced = stage::unnamed(self.disk(), &header, &lines);
                replaced.and_then(|new| new.name(self.disk())).map_err(failed("replacing a segment"))?;
            }
        }
        Ok(())
    }

    /// Works on an agent that nobody has leased, and lets nobody take it meanwhile.
    pub(crate) fn alone<T>(&self, agent: &AgentId, work: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
        self.writable()?;
        self.slots.enter(agent, |state| match &state.held {
            Some(_) => Err(StoreError::Unavailable("the agent is in use".into())),
            None => work(),
        })
    }

    pub(crate) fn acquire(
        &self,
        agent: &AgentId,
        holder: &str,
        ttl: Millis,
        now: Millis,
    ) -> StoreResult<Lease> {
        self.writable()?;
        self.slots.enter(agent, |state| {
            state.free_for(holder, now)?;
            let writer = self.take(agent, state)?;
            let epoch = self.grant(agent, writer.told().epoch, now)?;
            let expires = now.saturating_add(ttl);
            state.held = Some(Held { epoch, holder: holder.to_owned(), expires, writer });
            Ok(Lease { agent: agent.clone(), epoch, expires })
        })
    }

    /// Ends the lease before, if any, and takes the journal up.
    fn take(&self, agent: &AgentId, state: &mut State) -> StoreResult<Writer> {
        let disk = self.disk();
        let before = state.end();
        if before.as_ref().is_some_and(|held| held.writer.is_awaiting()) {
            // The new writer tells all that is there.
            self.commit()?;
        }
        let died =
            before.is_none() && names::is_marked(disk, agent).map_err(failed("taking a journal up"))?;
        if died || state.suspect.is_some() {
            // The last writer may have ended between making a name and syncing it.
            let synced = found(disk.sync_dir(agent.as_str())).and_then(|_| disk.sync_dir(""));
            synced.map_err(failed("taking a journal up"))?;
        }
        let covered = checkpoint::covered(disk, agent)?;
        Writer::take(self.tools.clone(), agent, covered, &mut state.suspect)
    }

    fn grant(&self, agent: &AgentId, last: Epoch, now: Millis) -> StoreResult<Epoch> {
        let disk = self.disk();
        let counter = names::counter(disk, agent).map_err(failed("granting a lease"))?;
        let epoch = Epoch::grant(counter, last, now);
        if epoch > Epoch::MAX {
            return Err(StoreError::Incompatible(format!("{agent}: no epoch above {} is left", Epoch::MAX)));
        }
        let marked = reserve::even_when_full(disk, || names::mark(disk, agent, epoch));
        let named = marked.and_then(|is_new| if is_new { self.marks.sync(disk) } else { Ok(()) });
        named.map_err(failed("granting a lease"))?;
        Ok(epoch)
    }

    /// Returns once the agent's directory, and the first names in it, are on the disk.
    fn sync_names(&self, agent: &AgentId) -> io::Result<()> {
        found(self.disk().sync_dir(agent.as_str()))?;
        self.agents.sync(self.disk())
    }

    pub(crate) fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.under(lease, |held| {
            held.expires = now.saturating_add(ttl);
            Ok(Lease { expires: held.expires, ..lease.clone() })
        })
    }

    pub(crate) fn release(&self, lease: &Lease, clean: bool) -> StoreResult<()> {
        self.writable()?;
        self.slots.enter(&lease.agent, |state| {
            let Ok(held) = state.in_force(lease.epoch) else { return Ok(()) };
            let begun = held.writer.has_begun();
            // The record of a lease without entries covers what is alive, so that may not be left to the log.
            let settled = match clean && !begun {
                true => held.writer.settle_name(|| self.sync_names(&lease.agent)),
                false => Ok(()),
            };
            state.end();
            settled?;
            if !clean {
                return Ok(());
            }
            names::clear(self.disk(), &lease.agent, begun).map_err(failed("giving a lease back"))
        })
    }

    pub(crate) fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        names::unfinished(self.disk()).map_err(failed("listing unfinished agents"))
    }

    pub(crate) fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        self.under(lease, |held| {
            held.writer.sync_to(checkpoint.seq)?;
            held.writer.settle_name(|| self.sync_names(&lease.agent))?;
            checkpoint::save(self.disk(), &lease.agent, checkpoint)
        })
    }

    /// Waits for a save under way, so that no mixture of two checkpoints is met.
    pub(crate) fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        self.slots.enter(agent, |_| {
            let Some(checkpoint) = checkpoint::load(self.disk(), agent)? else { return Ok(None) };
            let head = self.look(agent)?.map(|(_, head)| head.seq);
            Ok(head.is_some_and(|head| checkpoint.seq <= head).then_some(checkpoint))
        })
    }

    pub(crate) fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &[u8]) -> StoreResult<()> {
        self.under(lease, |held| match held.writer.told().seq {
            Seq::ZERO => Err(StoreError::Conflict { expected: Seq::ZERO.next(), actual: Seq::ZERO }),
            _ => {
                held.writer.settle_name(|| self.sync_names(&lease.agent))?;
                blobs::put(self.disk(), &lease.agent, name, bytes)
            }
        })
    }

    pub(crate) fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        blobs::read(self.disk(), agent, name, offset, limit).map_err(failed("reading a blob"))
    }

    pub(crate) fn list(
        &self,
        prefix: &str,
        after: Option<&AgentId>,
        limit: usize,
    ) -> StoreResult<Vec<AgentId>> {
        let mut page = BTreeSet::new();
        let listed = self.disk().each_name("", &mut |name| {
            let wanted = AgentId::new(name).ok();
            let wanted = wanted.filter(|id| id.is_under(prefix) && after.is_none_or(|after| id > after));
            page.extend(wanted);
            if page.len() > limit {
                page.pop_last();
            }
        });
        listed.map_err(failed("listing agents"))?;
        Ok(page.into_iter().collect())
    }

    /// The tombstone is on the disk before the directory loses its name, and that before it is emptied: so a
    /// crash leaves the whole agent, or nothing of it but its tombstone, and readers never meet half of one.
    pub(crate) fn delete(&self, lease: &Lease) -> StoreResult<()> {
        self.writable()?;
        let (disk, agent) = (self.disk(), &lease.agent);
        self.slots.enter(agent, |state| {
            state.in_force(lease.epoch)?;
            let remove = || {
                // The log would not make anew what a tombstone covers.
                self.sync_names(agent)?;
                names::bury(disk, agent, lease.epoch)?;
                removal::unname(disk, agent)
            };
            reserve::even_when_full(disk, remove).map_err(failed("deleting an agent"))?;
            state.end();
            state.suspect = None;
            Ok(())
        })?;
        removal::tidy(disk, agent);
        Ok(())
    }

    /// Writes and syncs a small new file, and sets the reserve aside again if it was used.
    pub(crate) fn ready(&self) -> StoreResult<()> {
        if self.read_only {
            return opening::check_marker(self.disk());
        }
        let disk = self.disk();
        let probe = || {
            disk.open(layout::PROBE, Access::Make)?.write_at(&[0; 4096], 0)?;
            disk.open(layout::PROBE, Access::Write)?.sync()?;
            disk.remove_file(layout::PROBE)?;
            reserve::keep(disk)
        };
        probe().map_err(failed("checking the store"))
    }
}

/// How far an append came without waiting.
pub(crate) enum Ahead {
    /// All the way.
    Done,
    /// It is written up to here, and counts when [`Store::commit`] and then [`Store::committed`] were called.
    Written(Head),
}

pub(crate) type OpenJournal = Journal<Box<dyn crate::disk::DiskFile>>;
