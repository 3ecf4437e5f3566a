//! Background jobs: what is written down of one from its start to its end. Each fact names the call and the tool that
//! started the job, since its events do.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{CallId, JobId};
use crate::sandbox::ProcessEnd;

/// A background job is about to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStarted {
    /// Its name.
    pub job: JobId,
    /// The call that started it.
    pub call: CallId,
    /// The tool of that call.
    pub tool: String,
    /// What the shell is given.
    pub line: String,
    /// Seconds that it may take.
    pub timeout_secs: u64,
}

/// A background job is to be gone: its end follows once it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStopRequested {
    /// Which.
    pub job: JobId,
    /// Who wants it: `model`, or whoever interrupted or deleted the agent.
    pub by: String,
}

/// Something was noticed of a background job while it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTold {
    /// Of which.
    pub job: JobId,
    /// The call that started it.
    pub call: CallId,
    /// The tool of that call.
    pub tool: String,
    /// The sandbox's own type.
    pub event_type: String,
    /// The sandbox's own data.
    pub data: Value,
}

/// A background job is over, and nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnded {
    /// Which.
    pub job: JobId,
    /// The call that started it.
    pub call: CallId,
    /// The tool of that call.
    pub tool: String,
    /// How.
    pub end: JobEnd,
}

/// How a background job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum JobEnd {
    /// As its process did.
    Ended(ProcessEnd),
    /// It was stopped.
    Killed {
        /// By whom: see [`JobStopRequested::by`].
        by: String,
    },
    /// Its server died, or its agent was put away.
    Lost,
}

impl JobEnd {
    /// One word for it: `exited`, `signaled`, `timed_out`, `over_limit`, `failed`, `killed` or `lost`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Self::Ended(ProcessEnd::Exited { .. }) => "exited",
            Self::Ended(ProcessEnd::Signaled { .. }) => "signaled",
            Self::Ended(ProcessEnd::TimedOut) => "timed_out",
            Self::Ended(ProcessEnd::OverLimit { .. }) => "over_limit",
            Self::Ended(ProcessEnd::Failed { .. }) => "failed",
            Self::Killed { .. } => "killed",
            Self::Lost => "lost",
        }
    }

    /// What there is to say beside that word: a code, a signal, a message, or who stopped it.
    #[must_use]
    pub fn detail(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::Ended(ProcessEnd::Exited { code }) => Some(("code", (*code).into())),
            Self::Ended(ProcessEnd::Signaled { signal }) => Some(("signal", (*signal).into())),
            Self::Ended(ProcessEnd::OverLimit { message, .. } | ProcessEnd::Failed { message }) => {
                Some(("message", message.as_str().into()))
            }
            Self::Killed { by } => Some(("by", by.as_str().into())),
            Self::Ended(ProcessEnd::TimedOut) | Self::Lost => None,
        }
    }
}
