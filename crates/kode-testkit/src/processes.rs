//! Processes that do what a test tells them to: output, ends, gates that hold them, and the moment that it takes them
//! to die. Runs no process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kode_core::id::JobId;
use kode_core::sandbox::{
    Captured, Command, JobLog, ProcessEnd, ProcessError, Processes, Ran, SandboxReport, Witness,
};
use kode_core::tool::Cancel;
use serde_json::Value;
use tokio::sync::watch;

use crate::scripted_model::Gate;

/// The level that [`ScriptedProcesses`] report.
pub const LEVEL: &str = "scripted";

/// What one command does, in the order in which it is written down.
///
/// ```
/// use kode_testkit::processes::Run;
/// use kode_testkit::scripted_model::Gate;
///
/// let gate = Gate::default();
/// let run = Run::exits(1).stdout("checking …\n").stderr("two tests failed\n").holds(&gate);
/// ```
#[derive(Debug, Clone)]
pub struct Run {
    end: Result<ProcessEnd, ProcessError>,
    output: Vec<Piece>,
    dropped: u64,
    took: Duration,
    notices: Vec<(String, Value)>,
    holds: Option<Gate>,
    outlives: Option<Gate>,
}

impl Run {
    /// One that ends so.
    #[must_use]
    pub fn ends(end: ProcessEnd) -> Self {
        Self {
            end: Ok(end),
            output: Vec::new(),
            dropped: 0,
            took: Duration::ZERO,
            notices: Vec::new(),
            holds: None,
            outlives: None,
        }
    }

    /// One that exits with this code.
    #[must_use]
    pub fn exits(code: i32) -> Self {
        Self::ends(ProcessEnd::Exited { code })
    }

    /// One that is not started.
    #[must_use]
    pub fn refused(error: ProcessError) -> Self {
        Self { end: Err(error), ..Self::exits(0) }
    }

    /// The same after writing to its standard output.
    #[must_use]
    pub fn stdout(self, bytes: impl AsRef<[u8]>) -> Self {
        self.writes(Stream::Stdout, bytes.as_ref())
    }

    /// The same after writing to its standard error.
    #[must_use]
    pub fn stderr(self, bytes: impl AsRef<[u8]>) -> Self {
        self.writes(Stream::Stderr, bytes.as_ref())
    }

    /// The same with so many bytes of its standard output dropped, behind what it is said to write.
    #[must_use]
    pub fn dropping(self, bytes: u64) -> Self {
        Self { dropped: bytes, ..self }
    }

    /// The same after so long, as it says itself; no time passes.
    #[must_use]
    pub fn took(self, took: Duration) -> Self {
        Self { took, ..self }
    }

    /// The same, of which the sandbox notices this when it has written its output.
    #[must_use]
    pub fn noticed(mut self, event_type: &str, data: Value) -> Self {
        self.notices.push((event_type.to_owned(), data));
        self
    }

    /// The same, ending once the gate is open.
    #[must_use]
    pub fn holds(self, gate: &Gate) -> Self {
        Self { holds: Some(gate.clone()), ..self }
    }

    /// The same, of which something is left after it was killed, until the gate is open.
    #[must_use]
    pub fn outlives(self, gate: &Gate) -> Self {
        Self { outlives: Some(gate.clone()), ..self }
    }

    fn writes(mut self, stream: Stream, bytes: &[u8]) -> Self {
        self.output.push(Piece { stream, bytes: bytes.to_vec() });
        self
    }

    fn captured(&self, stream: Stream) -> Captured {
        let of = self.output.iter().filter(|piece| piece.stream == stream);
        let dropped = if stream == Stream::Stdout { self.dropped } else { 0 };
        Captured { head: of.flat_map(|piece| piece.bytes.clone()).collect(), tail: Vec::new(), dropped }
    }
}

/// What became of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Running,
    /// It came to its end.
    Ended,
    /// It was dropped before that: killed.
    Dropped,
}

/// One command that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What was run.
    pub command: Command,
    /// As which job, if it was one.
    pub job: Option<JobId>,
    /// What became of it.
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone)]
struct Piece {
    stream: Stream,
    bytes: Vec<u8>,
}

/// What a job wrote, and from which place on it is kept.
#[derive(Debug, Default)]
struct Log {
    pieces: Vec<Piece>,
    kept_from: u64,
}

impl Log {
    fn read(&self, since: u64, limit: usize) -> JobLog {
        let from = since.max(self.kept_from);
        let mut log = JobLog { next: from, dropped: from - since, ..JobLog::default() };
        let (mut place, mut room) = (0, limit);
        for piece in &self.pieces {
            let skip =
                usize::try_from(from.saturating_sub(place)).unwrap_or(usize::MAX).min(piece.bytes.len());
            let rest = &piece.bytes[skip..];
            let taken = &rest[..rest.len().min(room)];
            match piece.stream {
                Stream::Stdout => log.stdout.extend_from_slice(taken),
                Stream::Stderr => log.stderr.extend_from_slice(taken),
            }
            room -= taken.len();
            log.next += taken.len() as u64;
            log.more |= taken.len() < rest.len();
            place += piece.bytes.len() as u64;
        }
        log
    }
}

/// One agent's scripted processes. Each command takes the next [`Run`]; without one it exits with 0. Clones are the
/// same.
#[derive(Debug, Clone)]
pub struct ScriptedProcesses {
    runs: Arc<Mutex<VecDeque<Run>>>,
    records: Arc<watch::Sender<Vec<Record>>>,
    logs: Arc<Mutex<BTreeMap<JobId, Log>>>,
}

impl ScriptedProcesses {
    /// Processes that do this, one after another.
    #[must_use]
    pub fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        Self {
            runs: Arc::new(Mutex::new(runs.into_iter().collect())),
            records: Arc::new(watch::Sender::new(Vec::new())),
            logs: Arc::default(),
        }
    }

    /// Those of another agent: with the same runs and records, and logs of its own.
    #[must_use]
    pub fn of_another(&self) -> Self {
        Self { logs: Arc::default(), ..self.clone() }
    }

    /// One more.
    pub fn push(&self, run: Run) {
        held(&self.runs).push_back(run);
    }

    /// Every command that was started, in order.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.borrow().clone()
    }

    /// Returns once the records are so.
    pub async fn until(&self, so: impl FnMut(&Vec<Record>) -> bool) {
        // The sender is held by `self`.
        let _ = self.records.subscribe().wait_for(so).await;
    }

    /// The job writes to its standard output.
    pub fn write(&self, job: &JobId, bytes: impl AsRef<[u8]>) {
        let piece = Piece { stream: Stream::Stdout, bytes: bytes.as_ref().to_vec() };
        held(&self.logs).entry(job.clone()).or_default().pieces.push(piece);
    }

    /// What the job wrote before this place is kept no longer.
    pub fn forget_before(&self, job: &JobId, place: u64) {
        held(&self.logs).entry(job.clone()).or_default().kept_from = place;
    }

    /// Nothing of what the job wrote is kept any longer.
    pub fn lose(&self, job: &JobId) {
        held(&self.logs).remove(job);
    }

    async fn play(
        &self,
        command: &Command,
        job: Option<&JobId>,
        cancel: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<(Run, ProcessEnd), ProcessError> {
        let run = held(&self.runs).pop_front().unwrap_or_else(|| Run::exits(0));
        let end = run.end.clone()?;
        let mut alive = Alive::begin(self, command, job, (cancel, run.outlives.clone()));
        if let Some(job) = job {
            held(&self.logs).entry(job.clone()).or_default().pieces.extend(run.output.iter().cloned());
        }
        for (event_type, data) in &run.notices {
            witness.notice(event_type, data.clone()).await;
        }
        if let Some(gate) = &run.holds {
            gate.hold().await;
        }
        alive.fate = Fate::Ended;
        Ok((run, end))
    }
}

#[async_trait]
impl Processes for ScriptedProcesses {
    async fn run(
        &self,
        command: &Command,
        cancel: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<Ran, ProcessError> {
        let (run, end) = self.play(command, None, cancel, witness).await?;
        let (stdout, stderr) = (run.captured(Stream::Stdout), run.captured(Stream::Stderr));
        Ok(Ran { end, stdout, stderr, took: run.took })
    }

    async fn job(
        &self,
        job: &JobId,
        command: &Command,
        cancel: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<ProcessEnd, ProcessError> {
        self.play(command, Some(job), cancel, witness).await.map(|(_, end)| end)
    }

    async fn logs(&self, job: &JobId, since: u64, limit: usize) -> Result<JobLog, ProcessError> {
        let logs = held(&self.logs);
        logs.get(job).map(|log| log.read(since, limit)).ok_or_else(|| ProcessError::NoLog(job.clone()))
    }

    fn report(&self) -> Arc<SandboxReport> {
        let gaps = vec!["nothing is run".into()];
        Arc::new(SandboxReport { level: LEVEL.into(), gaps, ..SandboxReport::default() })
    }
}

/// A command that runs; dropped before its end, it was killed.
struct Alive {
    records: Arc<watch::Sender<Vec<Record>>>,
    nth: usize,
    fate: Fate,
    cancel: Cancel,
    outlives: Option<Gate>,
}

impl Alive {
    fn begin(
        processes: &ScriptedProcesses,
        command: &Command,
        job: Option<&JobId>,
        (cancel, outlives): (Cancel, Option<Gate>),
    ) -> Self {
        let (records, mut nth) = (processes.records.clone(), 0);
        let record = Record { command: command.clone(), job: job.cloned(), fate: Fate::Running };
        records.send_modify(|all| {
            nth = all.len();
            all.push(record);
        });
        Self { records, nth, fate: Fate::Dropped, cancel, outlives }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.records.send_modify(|all| all[self.nth].fate = self.fate);
        if let (Fate::Dropped, Some(gate)) = (self.fate, self.outlives.take()) {
            let left = self.cancel.clone();
            tokio::spawn(async move {
                gate.hold().await;
                drop(left);
            });
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_in_parts_from_any_place() {
        let piece = |stream, text: &str| Piece { stream, bytes: text.into() };
        let mut log = Log {
            pieces: vec![
                piece(Stream::Stdout, "abc"),
                piece(Stream::Stderr, "de"),
                piece(Stream::Stdout, "f"),
            ],
            kept_from: 0,
        };
        let read = |log: &Log, since, limit| {
            let JobLog { stdout, stderr, next, dropped, more } = log.read(since, limit);
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (text(stdout), text(stderr), next, dropped, more)
        };
        assert_eq!(read(&log, 0, 4), ("abc".into(), "d".into(), 4, 0, true));
        assert_eq!(read(&log, 4, 9), ("f".into(), "e".into(), 6, 0, false));
        assert_eq!(read(&log, 6, 9), (String::new(), String::new(), 6, 0, false));
        log.kept_from = 5;
        assert_eq!(read(&log, 1, 9), ("f".into(), String::new(), 6, 4, false));
    }
}
