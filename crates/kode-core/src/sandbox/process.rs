//! The process half of the sandbox port: a shell command that is run to its end, or in the background.
//!
//! Nothing here says how a process is confined; what is in force is said by [`SandboxReport`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SandboxReport;
use crate::id::JobId;
use crate::tool::Cancel;

/// A command line for the shell, in the work directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What `sh -c` is given.
    pub line: String,
    /// How long it may take; then it is killed with all that it started.
    pub timeout: Duration,
}

/// How a command ended. All that it had started is gone then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum ProcessEnd {
    /// By itself.
    Exited {
        /// Its exit code, 0 to 255.
        code: i32,
    },
    /// By a signal that the sandbox did not send.
    Signaled {
        /// Its number.
        signal: i32,
    },
    /// It was killed at its time limit.
    TimedOut,
    /// It was killed because it used more than it may.
    OverLimit {
        /// Of what.
        limit: Limit,
        /// How much that was, in words that the model can act on.
        message: String,
    },
    /// The sandbox could not run it, or lost it.
    Failed {
        /// Why, without a path of the host's.
        message: String,
    },
}

/// What a command may use only so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Memory of all its processes together.
    Memory,
    /// Bytes in the work directory.
    Disk,
    /// Bytes written to its output.
    Output,
}

/// What a command wrote to one stream: its beginning and its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, where they are not in `head`.
    pub tail: Vec<u8>,
    /// Bytes between them that were counted and dropped.
    pub dropped: u64,
}

impl Captured {
    /// As text: what is not UTF-8 is replaced, and what was dropped is told where it was.
    #[must_use]
    pub fn text(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        if self.dropped == 0 {
            let mut whole = self.head.clone();
            whole.extend_from_slice(&self.tail);
            return String::from_utf8_lossy(&whole).into_owned();
        }
        let tail = String::from_utf8_lossy(&self.tail);
        format!("{head}\n[… {} bytes left out …]\n{tail}", self.dropped)
    }
}

/// A command that was run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: ProcessEnd,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// And to its standard error.
    pub stderr: Captured,
    /// How long it took.
    pub took: Duration,
}

/// A part of what a background job wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobLog {
    /// What came to its standard output in this part.
    pub stdout: Vec<u8>,
    /// And to its standard error.
    pub stderr: Vec<u8>,
    /// The place behind this part: ask from here for what comes next.
    pub next: u64,
    /// Bytes behind the place that was asked for which are no longer kept.
    pub dropped: u64,
    /// Whether more is there already.
    pub more: bool,
}

/// Why there is no process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// What the template asks for cannot be enforced on this host.
    #[error("processes are refused: the sandbox level {asked} cannot be had here ({})", missing.join("; "))]
    Unavailable {
        /// The level that was asked for.
        asked: String,
        /// What is missing, in words.
        missing: Vec<String>,
        /// How the host's operator can bring it or allow less.
        hint: String,
    },
    /// The agent has as many processes as it may.
    #[error("{0}")]
    TooMany(String),
    /// There is no log of that job any more.
    #[error("no output of {0} is kept")]
    NoLog(JobId),
    /// Anything else, in words without the host's paths.
    #[error("the process could not be run: {0}")]
    Io(String),
}

/// Who hears what the sandbox notices while a command runs, such as a refused connection.
#[async_trait]
pub trait Witness: Send + Sync + 'static {
    /// Something was noticed.
    async fn notice(&self, event_type: &str, data: Value);
}

/// One agent's processes. Calls may run side by side.
///
/// A process never outlives the future that runs it: dropping the future kills it with everything that it started,
/// and so does the death of the server. That takes a moment; as long as anything is left, a clone of the [`Cancel`]
/// is held.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Runs a command to its end and gives what it wrote.
    ///
    /// # Errors
    /// [`ProcessError`] where it was not started.
    async fn run(
        &self,
        command: &Command,
        held: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<Ran, ProcessError>;

    /// Runs a background job to its end. What it writes goes to its log, which is bounded.
    ///
    /// # Errors
    /// [`ProcessError`] where it was not started.
    async fn job(
        &self,
        job: &JobId,
        command: &Command,
        held: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<ProcessEnd, ProcessError>;

    /// At most about `limit` bytes of what a job wrote, from the place `since` (0 for its beginning, else what an
    /// earlier [`JobLog::next`] said). Logs of ended jobs are kept until their agent has many newer ones.
    ///
    /// # Errors
    /// [`ProcessError::NoLog`], or what reading it met.
    async fn logs(&self, job: &JobId, since: u64, limit: usize) -> Result<JobLog, ProcessError>;

    /// What is enforced around them.
    fn report(&self) -> Arc<SandboxReport>;
}
