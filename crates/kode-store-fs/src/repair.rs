//! Making a damaged journal whole again, for a person who asks for it: what is good stays, what is not goes to a
//! quarantine and is never deleted.
//!
//! Nothing here is done by itself, and nothing is done to a journal that is whole or of a later version.

use std::io;

use kode_core::id::{AgentId, Epoch, Seq};
use kode_core::store::{CHECKPOINT_FILES, Damage, StoreError, StoreResult};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{failed, found};
use crate::journal::{self, Journal};
use crate::line::{self, FORMAT, Header};
use crate::segment::Place;
use crate::store::Store;
use crate::{checkpoint, layout, names, segment, stage};

/// How much is copied at once.
const BLOCK: usize = 1 << 20;

/// What a repair does, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What is wrong.
    pub damage: Damage,
    /// The last entry that stays; zero if nothing of the journal can be kept.
    pub kept: Seq,
    /// The last entry that is known to have been there; those between are lost.
    pub known: Seq,
    /// Where the damaged files are, by a name within the store.
    pub quarantine: String,
}

/// What the files tell, good lines or not.
#[derive(Debug, Clone, Copy, Default)]
struct Traces {
    seq: Seq,
    epoch: Epoch,
}

impl Store {
    /// Cuts a damaged journal behind its last good entry; `None` if it is whole, or there is none. With `dry`
    /// it only says so, and changes nothing.
    ///
    /// The damaged files are copied and synced before anything is changed, and a crash in between leaves a
    /// journal that is still damaged, to be repaired again.
    ///
    /// # Errors
    /// `Unavailable` while the agent is leased, or where the store is open for reading alone; `Incompatible`.
    pub(crate) fn repair(&self, agent: &AgentId, dry: bool) -> StoreResult<Option<Repair>> {
        let Err(error) = self.check(agent) else { return Ok(None) };
        let StoreError::Damaged(damage) = error else { return Err(error) };
        let disk = self.disk();
        let traces = traces(disk, agent)?;
        let journal = Journal::find_good(disk, agent)?;
        let good = journal.as_ref().map(Journal::good).transpose()?;
        let quarantine = free_name(disk, agent).map_err(failed("looking for a quarantine"))?;
        let kept = good.map(|(_, place)| place.tip.head.seq).unwrap_or_default();
        let repair = Repair { damage, kept, known: traces.seq.max(kept), quarantine };
        if dry {
            return Ok(Some(repair));
        }
        self.alone(agent, || {
            let buried = names::bury(disk, agent, traces.epoch);
            buried.map_err(failed("repairing a journal"))?;
            match (&journal, good.filter(|(_, place)| place.tip.head.seq > Seq::ZERO)) {
                (Some(journal), Some((index, place))) => cut(disk, agent, journal, index, place, &repair),
                (Some(_) | None, _) => put_aside(disk, agent, &repair.quarantine),
            }
        })?;
        self.check(agent).map(|_| Some(repair))
    }
}

/// What all lines and headers that are whole by themselves tell, and the checkpoint.
fn traces(disk: &dyn Disk, agent: &AgentId) -> StoreResult<Traces> {
    let mut traces = Traces { seq: checkpoint::covered(disk, agent)?, epoch: Epoch::ZERO };
    let files = found(journal::open_files(disk, agent, Access::Read)).map_err(failed("reading a journal"))?;
    for (_, file) in files.unwrap_or_default() {
        let bytes = crate::disk::content(&*file).map_err(failed("reading a journal"))?;
        for chunk in bytes.split(|byte| *byte == b'\n') {
            if let Ok(line) = line::read(chunk) {
                traces.seq = traces.seq.max(line.head.seq).max(line.synced);
                traces.epoch = traces.epoch.max(line.head.epoch);
            } else if let Ok(header) = line::read_header(chunk) {
                traces.seq = traces.seq.max(header.synced);
                traces.epoch = traces.epoch.max(header.after.epoch);
            }
        }
    }
    Ok(traces)
}

/// Keeps the damaged files aside and ends the journal behind a place in one of its segments.
fn cut(
    disk: &dyn Disk,
    agent: &AgentId,
    journal: &Journal<Box<dyn DiskFile>>,
    index: usize,
    place: Place,
    repair: &Repair,
) -> StoreResult<()> {
    let segment = journal.segment(index);
    let work = || {
        let lines = segment.bytes(segment.start().at, place.at)?;
        let files = files(disk, agent)?;
        keep_aside(disk, agent, &files, &repair.quarantine)?;
        // It vouches for what is gone.
        found(disk.remove_file(&format!("{agent}/{}", CHECKPOINT_FILES[3])))?;
        let header = Header { format: FORMAT, synced: place.tip.head.seq, ..segment.header.clone() };
        stage::unnamed(disk, &header, &lines)?.name(disk)?;
        // The last one first: what is left at a crash still ends in a segment that does not go on.
        let mut later: Vec<u32> = files.iter().filter_map(|name| segment::number(name)).collect();
        later.retain(|number| *number > header.segment);
        later.sort_unstable_by(|a, b| b.cmp(a));
        for number in later {
            disk.remove_file(&format!("{agent}/{}", segment::file_name(number)))?;
        }
        disk.sync_dir(agent.as_str())
    };
    work().map_err(failed("repairing a journal"))
}

/// Every file that a journal and its checkpoint are made of.
fn files(disk: &dyn Disk, agent: &AgentId) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    disk.each_name(agent.as_str(), &mut |name| {
        if segment::number(name).is_some() || CHECKPOINT_FILES.contains(&name) {
            names.push(name.to_owned());
        }
    })?;
    Ok(names)
}

fn keep_aside(disk: &dyn Disk, agent: &AgentId, files: &[String], to: &str) -> io::Result<()> {
    disk.make_dir(layout::QUARANTINE)?;
    disk.make_dir(to)?;
    for name in files {
        copy(
            &*disk.open(&format!("{agent}/{name}"), Access::Read)?,
            &*disk.open(&format!("{to}/{name}"), Access::Make)?,
        )?;
    }
    disk.sync_dir(to)?;
    disk.sync_dir(layout::QUARANTINE)?;
    disk.sync_dir("")
}

fn copy(from: &dyn DiskFile, to: &dyn DiskFile) -> io::Result<()> {
    let (mut at, mut block) = (0, vec![0; BLOCK]);
    loop {
        match from.read_at(&mut block, at)? {
            0 => return to.sync(),
            some => {
                to.write_at(&block[..some], at)?;
                at += some as u64;
            }
        }
    }
}

/// Puts an agent of whose journal nothing is good aside, with everything that it has.
fn put_aside(disk: &dyn Disk, agent: &AgentId, to: &str) -> StoreResult<()> {
    let work = || {
        disk.make_dir(layout::QUARANTINE)?;
        disk.sync_dir("")?;
        disk.rename(agent.as_str(), to)?;
        disk.sync_dir(layout::QUARANTINE)?;
        found(disk.remove_file(&layout::mark(agent)))?;
        disk.sync_dir("")
    };
    work().map_err(failed("repairing a journal"))
}

/// A place in the quarantine that is not taken.
fn free_name(disk: &dyn Disk, agent: &AgentId) -> io::Result<String> {
    let mut taken = Vec::new();
    found(disk.each_name(layout::QUARANTINE, &mut |name| taken.push(name.to_owned())))?;
    let name = |number: u32| format!("{agent}.{number}");
    let free = (1..).find(|number| !taken.contains(&name(*number))).unwrap_or(u32::MAX);
    Ok(format!("{}/{}", layout::QUARANTINE, name(free)))
}
