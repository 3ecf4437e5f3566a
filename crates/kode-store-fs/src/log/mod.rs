//! The node log: one file for all agents of this process, where an append becomes durable.
//!
//! Each line that is written to a journal is noted here as well, and one sync of the log is the sync of all that wait.
//! The journals behind it are synced later, many lines at a time, and then the log's older files go. After a power loss
//! [`replay`] gives the journals back what they lack. So the log is never the only copy for long, and never read
//! while all is well.
//!
//! What never belongs here: what is in a line, and leases.

mod group;
mod record;
mod replay;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use kode_core::id::AgentId;
use kode_core::store::StoreResult;

pub(crate) use self::group::Group;
use self::replay::Since;
use crate::commit::{Commit, Trust};
use crate::disk::{Access, Disk, DiskFile, content};
use crate::error::{failed, found};
use crate::layout;

/// From this size on a file is ended: so much is read when a store is opened, at most twice.
const FILE_BYTES: usize = 64 << 20;
/// Into how many parts the room for a file is asked for.
const PARTS: usize = 64;
/// So much may wait for the next flush before a writer flushes although it need not.
const PENDING_BYTES: usize = 4 << 20;

/// The log of one open store.
pub(crate) struct NodeLog {
    disk: Arc<dyn Disk>,
    group: Group,
    files: Mutex<Files>,
    /// Agents that were noted since the file that is written to began.
    noted: Mutex<BTreeSet<AgentId>>,
    file_bytes: usize,
    /// Whether somebody retires files.
    retiring: AtomicBool,
}

/// The files of the log.
#[derive(Default)]
struct Files {
    /// The one that is written to; none before the first flush, and after a failed one.
    open: Option<Open>,
    /// The number of the newest.
    number: u64,
    /// Those that are over, oldest first, each with the agents whose journals are not synced since.
    closed: VecDeque<Closed>,
}

struct Open {
    file: Box<dyn DiskFile>,
    end: usize,
    /// Up to here the disk has room for it.
    room: usize,
}

impl Open {
    /// Asks for the room for a part of the file at once: a sync that need not keep a new length is quicker. What the
    /// disk refuses here it may still take.
    fn make_room(&mut self, end: usize, part: usize) {
        if end > self.room {
            self.room = end.next_multiple_of(part.max(1));
            let _ = self.file.allocate(self.room as u64);
        }
    }
}

struct Closed {
    number: u64,
    dirty: BTreeSet<AgentId>,
    /// The journal whose sync failed.
    failed: Option<AgentId>,
}

/// The name of a file.
fn name(number: u64) -> String {
    format!("{}/{number}.jsonl", layout::LOG)
}

/// The number in a file's name.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

impl NodeLog {
    /// Gives the journals what they lack of what the log has, and goes on behind it.
    ///
    /// # Errors
    /// `Unavailable` if the log is damaged, which changes nothing, or cannot be read; `Incompatible`; `Full`.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> StoreResult<Self> {
        Self::open_with(disk, FILE_BYTES)
    }

    /// The same with files of another size.
    pub(crate) fn open_with(disk: Arc<dyn Disk>, file_bytes: usize) -> StoreResult<Self> {
        disk.make_dir(layout::LOG).map_err(failed("opening the node log"))?;
        disk.sync_dir("").map_err(failed("opening the node log"))?;
        let since = if awaits_replay(&*disk)? { Since::PowerLoss } else { Since::Running };
        let mut closed = VecDeque::new();
        for number in numbers(&*disk)? {
            let dirty = replay::file(&*disk, &name(number), number, since)?;
            closed.push_back(Closed { number, dirty, failed: None });
        }
        if since == Since::PowerLoss {
            replay::clear_empty(&*disk)?;
        }
        note_boot(&*disk).map_err(failed("opening the node log"))?;
        let number = closed.back().map_or(0, |last: &Closed| last.number);
        Ok(Self {
            disk,
            group: Group::default(),
            files: Mutex::new(Files { open: None, number, closed }),
            noted: Mutex::default(),
            file_bytes,
            retiring: AtomicBool::new(false),
        })
    }

    fn retire_each(&self, settle: &dyn Fn(&AgentId, Trust) -> io::Result<()>) -> io::Result<()> {
        while let Some((number, dirty, failed)) = self.oldest() {
            for agent in &dirty {
                let trust = if failed.as_ref() == Some(agent) { Trust::Failed } else { Trust::Clean };
                settle(agent, trust).inspect_err(|error| self.distrust(agent, error))?;
                if let Some(oldest) = lock(&self.files).closed.front_mut() {
                    oldest.dirty.remove(agent);
                }
            }
            // Names as well are on the disk before what they could be made from is gone.
            self.disk.sync_dir("")?;
            self.disk.remove_file(&name(number))?;
            lock(&self.files).closed.pop_front();
        }
        Ok(())
    }

    fn oldest(&self) -> Option<(u64, BTreeSet<AgentId>, Option<AgentId>)> {
        let files = lock(&self.files);
        files.closed.front().map(|oldest| (oldest.number, oldest.dirty.clone(), oldest.failed.clone()))
    }

    fn distrust(&self, agent: &AgentId, error: &io::Error) {
        if error.kind() != io::ErrorKind::Interrupted
            && let Some(oldest) = lock(&self.files).closed.front_mut()
        {
            oldest.failed = Some(agent.clone());
        }
    }

    /// Makes records durable: the one write of the log. Called by one thread at a time.
    fn flush(&self, records: &[u8]) -> io::Result<()> {
        let mut files = lock(&self.files);
        let mut open = match files.open.take() {
            Some(open) => open,
            None => self.begin(&mut files)?,
        };
        let number = files.number;
        drop(files);
        let bytes = record::flush(number, open.end, records);
        let end = open.end + bytes.len();
        open.make_room(end, self.file_bytes / PARTS);
        let written = open.file.write_at(&bytes, open.end as u64).and_then(|()| open.file.sync());
        let mut files = lock(&self.files);
        if written.is_ok() && end < self.file_bytes {
            files.open = Some(Open { end, ..open });
        } else {
            // After a failed sync nothing that is read back from the file proves anything: the next flush, which has
            // these records too, goes to a new one.
            let dirty = std::mem::take(&mut *lock(&self.noted));
            files.closed.push_back(Closed { number, dirty, failed: None });
        }
        written
    }

    /// Begins a file. Where that fails the next attempt takes the same one, so a full disk gathers none.
    fn begin(&self, files: &mut Files) -> io::Result<Open> {
        let number = files.number + 1;
        let file = self.disk.open(&name(number), Access::Make)?;
        let header = record::header(number);
        file.set_len(0)?;
        file.write_at(&header, 0)?;
        self.disk.sync_dir(layout::LOG)?;
        files.number = number;
        Ok(Open { file, end: header.len(), room: header.len() })
    }
}

impl Drop for NodeLog {
    /// Gives back the room that was not needed. What is left of it otherwise is passed over by who reads.
    fn drop(&mut self) {
        if let Some(open) = &lock(&self.files).open {
            let _ = open.file.set_len(open.end as u64);
        }
    }
}

impl Commit for NodeLog {
    fn note(&self, agent: &AgentId, line: &[u8]) {
        let mut noted = lock(&self.noted);
        if !noted.contains(agent) {
            noted.insert(agent.clone());
        }
        self.group.add(|pending| record::push(pending, agent, line));
    }

    fn is_behind(&self) -> bool {
        self.group.pending() > PENDING_BYTES
    }

    fn commit(&self) -> io::Result<()> {
        self.group.wait(|records| self.flush(records))
    }

    fn wants_retiring(&self) -> bool {
        !self.retiring.load(Ordering::Relaxed) && !lock(&self.files).closed.is_empty()
    }

    fn retire(&self, settle: &dyn Fn(&AgentId, Trust) -> io::Result<()>) -> io::Result<()> {
        if self.retiring.swap(true, Ordering::Acquire) {
            return Ok(());
        }
        let retired = self.retire_each(settle);
        self.retiring.store(false, Ordering::Release);
        retired
    }
}

/// The files that are there, oldest first.
fn numbers(disk: &dyn Disk) -> StoreResult<Vec<u64>> {
    let mut numbers = Vec::new();
    disk.each_name(layout::LOG, &mut |name| numbers.extend(number(name)))
        .map_err(failed("opening the node log"))?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether the journals may lack what the log has: the machine may have gone down since it was replayed.
pub(crate) fn awaits_replay(disk: &dyn Disk) -> StoreResult<bool> {
    let doing = failed("reading the node log");
    let mut left = false;
    found(disk.each_name(layout::LOG, &mut |name| left |= number(name).is_some())).map_err(&doing)?;
    let replayed = found(disk.open(layout::BOOT, Access::Read)).map_err(&doing)?;
    let under = replayed.map(|file| content(&*file)).transpose().map_err(&doing)?;
    let boot = disk.boot().map_err(&doing)?;
    Ok(left && under.as_deref() != Some(boot.as_bytes()))
}

/// Notes that the log was replayed under this start of the machine. It need not survive the next one.
fn note_boot(disk: &dyn Disk) -> io::Result<()> {
    let file = disk.open(layout::BOOT, Access::Make)?;
    file.set_len(0)?;
    file.write_at(disk.boot()?.as_bytes(), 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}
