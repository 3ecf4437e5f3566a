//! After a power loss: gives the journals the lines that the log has and they lack.
//!
//! A line is taken over where it goes on from the end of its agent's journal, by seq and by checksum. A journal that is
//! missing is made from its first line on, but for what its tombstone covers: a name need not be on the disk before the log
//! is, and nothing of an agent that was deleted, or deleted and made again, ever comes back.
//!
//! Where the machine has not gone down nothing is missing, and no journal is touched: what is bad in one is damage, and who
//! takes the journal up refuses it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use kode_core::id::{AgentId, Epoch};
use kode_core::store::{StoreError, StoreResult};

use super::record::{self, Record, Unreadable};
use crate::chain::{Chunk, Tip};
use crate::disk::{Access, Disk, DiskFile, content};
use crate::error::{failed, found, incompatible};
use crate::journal::{Journal, open_files};
use crate::line::{self, Header, Line};
use crate::segment::Place;
use crate::{layout, names, stage};

/// What became of the machine since the log was replayed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// It may have lost power: any part of a journal that was not synced may be missing.
    PowerLoss,
    /// It ran all the time: at most a process died.
    Running,
}

/// Replays one file; tells whose journals are not known to be on the disk since. The file stays as it is: nothing is ever
/// added to it, and what of it is not on the disk although the kernel shows it was never acknowledged.
///
/// # Errors
/// `Unavailable` for a damaged file: nothing was changed. `Incompatible`, `Full`.
pub(super) fn file(disk: &dyn Disk, name: &str, number: u64, since: Since) -> StoreResult<BTreeSet<AgentId>> {
    let doing = failed("reading the node log");
    let file = disk.open(name, Access::Read).map_err(&doing)?;
    let bytes = content(&*file).map_err(&doing)?;
    let good = record::read(&bytes, number).map_err(|why| unreadable(name, &why))?;
    let mut dirty = BTreeSet::new();
    for (agent, lines) in by_agent(&good.records) {
        // Where the machine ran all the time, the kernel has what was written: nothing is missing, and no journal has to be
        // looked at, so a start takes no longer the more agents there are.
        if since == Since::Running || catch_up(disk, &agent, &lines)? {
            dirty.insert(agent);
        }
    }
    Ok(dirty)
}

/// Removes what a power loss left of agents whose first entry did not reach the log either: a name with nothing behind it.
///
/// # Errors
/// `Unavailable`.
pub(super) fn clear_empty(disk: &dyn Disk) -> StoreResult<()> {
    let clear = || {
        for agent in names::unfinished(disk)? {
            if found(open_files(disk, &agent, Access::Read))?.is_some_and(|files| files.is_empty()) {
                disk.remove_tree(agent.as_str())?;
            }
        }
        Ok(())
    };
    clear().map_err(failed("replaying the node log"))
}

fn unreadable(name: &str, why: &Unreadable) -> StoreError {
    match why {
        Unreadable::Later => incompatible(name, "the node log is of a later version"),
        Unreadable::Damaged(at) => StoreError::Unavailable(format!(
            "{name}, byte {at}: the node log is damaged, and may hold the only copy of what was acknowledged last; \
             nothing was changed. Restore the file from a backup, or move it out of the store's directory to go on \
             without it, and check the store then"
        )),
    }
}

fn by_agent<'b>(records: &[Record<'b>]) -> BTreeMap<AgentId, Vec<&'b [u8]>> {
    let mut lines = BTreeMap::new();
    for record in records {
        if let Ok(agent) = AgentId::new(record.agent) {
            lines.entry(agent).or_insert_with(Vec::new).push(record.line);
        }
    }
    lines
}

/// Whether the agent is there, its journal having what the lines bring.
fn catch_up(disk: &dyn Disk, agent: &AgentId, lines: &[&[u8]]) -> StoreResult<bool> {
    let doing = failed("replaying the node log");
    let Some(journal) = Journal::find(disk, agent, Access::Write)? else {
        return make(disk, agent, Chain::of(lines)).map_err(doing);
    };
    let chain = Chain::of(lines);
    let end = end_of(&journal, &chain)?;
    let (_, missing) = chain.from(end.tip);
    if !missing.is_empty() {
        tracing::warn!(%agent, bytes = missing.len(), "a journal got back from the node log what it had lost");
        let file = journal.into_last().into_source();
        // What is cut off is off the disk before anything stands in its place: a line of it that came back at the next
        // power loss would fit, and not be the one that was acknowledged.
        file.set_len(end.at)
            .and_then(|()| file.write_at(&missing, end.at))
            .and_then(|()| file.sync())
            .map_err(doing)?;
    }
    Ok(true)
}

/// Makes an agent whose name was not on the disk, if the log has all that it began with. What a tombstone covers was
/// deleted: no name with a tombstone that covers what is alive is left to the log.
fn make(disk: &dyn Disk, agent: &AgentId, chain: Chain<'_>) -> io::Result<bool> {
    let dead = names::epoch(disk, &layout::tombstone(agent))?.unwrap_or_default();
    let (tip, bytes) = chain.above(dead).from(Tip::first(agent));
    if bytes.is_empty() {
        return Ok(false);
    }
    // Its name may be there without the journal's.
    found(disk.remove_tree(agent.as_str()))?;
    tracing::warn!(%agent, bytes = bytes.len(), "an agent got back from the node log, as its name had been lost");
    let made = stage::first(disk, &Header::first(agent, tip.head.seq), &bytes)?;
    made.file.sync()?;
    disk.sync_dir(agent.as_str())?;
    disk.sync_dir("")?;
    Ok(true)
}

/// Where the journal's good lines end: looked for from the first line on that the log has, if the journal has what
/// comes before it, else from the beginning.
fn end_of(journal: &Journal<Box<dyn DiskFile>>, chain: &Chain<'_>) -> StoreResult<Place> {
    let doing = failed("replaying the node log");
    let last = journal.last();
    let walk = |from| journal.walk_last(from).map(|(end, _)| end).map_err(&doing);
    let Some(first) = chain.lines.first() else { return walk(last.start()) };
    let before = last.seek(|head| head.seq < first.0.head.seq).map_err(&doing)?;
    let from = if before.tip.crc == first.0.prev { before } else { last.start() };
    walk(from)
}

/// The lines of one agent, in the order in which they were written.
struct Chain<'b> {
    lines: Vec<(Line<'b>, &'b [u8])>,
}

impl<'b> Chain<'b> {
    fn of(lines: &[&'b [u8]]) -> Self {
        // A line that is none by itself was none when it was noted: the flush around it is whole.
        let read = |bytes: &&'b [u8]| line::read(bytes).ok().map(|line| (line, *bytes));
        Self { lines: lines.iter().filter_map(read).collect() }
    }

    /// Those of later epochs.
    fn above(mut self, epoch: Epoch) -> Self {
        self.lines.retain(|(line, _)| line.head.epoch > epoch);
        self
    }

    /// Where the chain ends that follows on a tip, and its bytes. Where two lines do, the later one was written by who knew
    /// better: a repair had cut the other away.
    fn from(&self, mut tip: Tip) -> (Tip, Vec<u8>) {
        let by_prev: HashMap<u32, usize> =
            self.lines.iter().zip(0..).map(|((line, _), at)| (line.prev.0, at)).collect();
        let (mut bytes, mut next) = (Vec::new(), 0);
        while let Some(at) = by_prev.get(&tip.crc.0).copied().filter(|at| *at >= next) {
            let (_, line) = self.lines[at];
            let chunk = Chunk { at: 0, bytes: line, whole: true };
            let Ok(followed) = tip.follow(&chunk) else { break };
            tip = Tip::behind(&followed);
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            next = at + 1;
        }
        (tip, bytes)
    }
}
