//! The sandbox port: an agent's files and processes, and an honest report of what is enforced around them.
//!
//! Paths are texts relative to the work directory. Whatever a path says, an implementation never reaches
//! outside the work directory and the allowed paths: that is its whole purpose.

mod process;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::process::{
    Captured, Command, JobLog, Limit, ProcessEnd, ProcessError, Processes, Ran, Witness,
};
use crate::id::{AgentId, Millis};
use crate::template::SandboxSpec;

/// What is enforced, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxReport {
    /// The level reached: `none`, `hygiene`, `confined`, `isolated`, `metered`, or `files` where no
    /// processes can be run at all.
    pub level: String,
    /// What is not stopped at this level, and what is missing for the level asked, in words.
    pub gaps: Vec<String>,
    /// Each layer by name, and whether it is in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, bool>,
    /// Each attempt that was made against it at start, and whether it was stopped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, bool>,
}

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// Anything else: a device, a socket, a pipe.
    Other,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: Millis,
}

/// One entry of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkEntry {
    /// Relative to the work directory, `/` between parts, no leading `./`.
    pub path: String,
    /// What it is.
    pub stat: FileStat,
}

/// What a walk takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalkOptions {
    /// Names that begin with a dot too.
    pub hidden: bool,
    /// Files that a `.gitignore` names too.
    pub ignored: bool,
}

/// Why a file operation failed. The path is the caller's own text, never the host's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is nothing there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The path leads out of the work directory, or is absolute and not allowed.
    #[error("{0} is outside the work directory")]
    Outside(String),
    /// The path is not a usable one: empty, with a NUL, a name too long.
    #[error("{path:?} is not a usable path: {why}")]
    BadPath {
        /// The path.
        path: String,
        /// Why.
        why: String,
    },
    /// The path names a thing that this operation does not take.
    #[error("{path} is {found}, not {wanted}")]
    WrongKind {
        /// The path.
        path: String,
        /// What is there.
        found: &'static str,
        /// What was wanted.
        wanted: &'static str,
    },
    /// More bytes than may be read.
    #[error("{path} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is not what this agent last read or wrote.
    #[error("{0} was changed by something else since it was last read")]
    Changed(String),
    /// The name is protected, such as `.git/hooks`.
    #[error("{0} is protected and cannot be written by file tools")]
    Protected(String),
    /// The device is full or a quota is used up.
    #[error("{0} could not be written: no space left")]
    NoSpace(String),
    /// Anything else, in words without the host's paths.
    #[error("{path}: {why}")]
    Io {
        /// The path.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// One agent's files. Calls may run side by side.
///
/// Implementations remember what each file looked like when it was last read or written through them, and
/// refuse to overwrite one that something else changed since ([`FileError::Changed`]).
#[async_trait]
pub trait Workspace: Send + Sync + 'static {
    /// Looks at a path without following a last symbolic link.
    async fn stat(&self, path: &str) -> Result<FileStat, FileError>;

    /// Reads a whole regular file of at most `limit` bytes.
    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FileError>;

    /// Replaces or makes a regular file, atomically and with missing directories: a reader sees the old
    /// content or the new one.
    async fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError>;

    /// All entries below a directory, sorted by path, links not followed, at most `limit` of them; true
    /// beside them where there were more.
    async fn walk(
        &self,
        path: &str,
        options: WalkOptions,
        limit: usize,
    ) -> Result<(Vec<WalkEntry>, bool), FileError>;

    /// The agent's processes.
    ///
    /// # Errors
    /// [`ProcessError::Unavailable`] where the level that was asked for cannot be had, or where the sandbox runs
    /// no processes at all.
    fn processes(&self) -> Result<&dyn Processes, ProcessError> {
        Err(ProcessError::Unavailable {
            asked: self.report().level.clone(),
            missing: vec!["this sandbox runs no processes".into()],
            hint: "use a sandbox that does, or a template without tools that need them".into(),
        })
    }

    /// What is enforced here, around the files and the processes: the same for many agents, so shared. It is asked for
    /// with each agent that is opened, and costs nothing of what its first process does.
    fn report(&self) -> Arc<SandboxReport>;
}

/// Makes workspaces.
#[async_trait]
pub trait SandboxFactory: Send + Sync + 'static {
    /// Opens the agent's work directory, making it where it is missing.
    ///
    /// # Errors
    /// Why it cannot be had, or what the asked level lacks here.
    async fn open(&self, agent: &AgentId, spec: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError>;

    /// Finds out beforehand what the first opening with such wishes would have to wait for: for whoever starts, before
    /// anybody asks. Where it cannot be found out, the opening says so.
    async fn prepare(&self, _wishes: &SandboxSpec) {}

    /// Removes the agent's work directory with everything in it, unless another agent is noted to work in it
    /// ([`ForkFiles::share`]): then it stays. A missing one is no error.
    async fn remove(&self, agent: &AgentId) -> Result<(), FileError>;

    /// What is enforced on this host at the level that is asked for by default.
    fn report(&self) -> SandboxReport {
        SandboxReport { level: "unknown".into(), ..SandboxReport::default() }
    }

    /// Copied and shared work directories, for forks. Without them a fork can only begin with an empty one.
    fn forks(&self) -> Option<&dyn ForkFiles> {
        None
    }
}

/// What was copied of a work directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Copied {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sockets, pipes and devices, which are left out.
    pub skipped: u64,
}

/// Work directories that go beyond one agent: a copy for a fork, and one that several agents work in.
///
/// A copy is made under a ticket before its agent exists, and becomes the agent's work directory once it does. So a
/// crash leaves either a copy that nobody has or an agent whose copy is there; the agent's journal has the ticket.
#[async_trait]
pub trait ForkFiles: Send + Sync {
    /// Whether nothing is in the agent's work directory, or there is none.
    async fn is_vacant(&self, agent: &AgentId) -> Result<bool, FileError>;

    /// Copies the work directory of `from` as it is now, and keeps the copy under a ticket that was never used
    /// before (of characters that an agent id may have). Links are copied as links and never followed; permission bits
    /// are kept, set-user-id and its like are not. It survives the power when this returns; where this fails, nothing
    /// of it is left.
    async fn copy(&self, from: &AgentId, ticket: &str) -> Result<Copied, FileError>;

    /// Makes the copy the work directory of `to`, which has none or an empty one. Nothing to do where that was done
    /// before.
    async fn settle(&self, ticket: &str, to: &AgentId) -> Result<(), FileError>;

    /// Throws away a copy that no agent has.
    async fn discard(&self, ticket: &str) -> Result<(), FileError>;

    /// Notes that `user` works in the work directory of `owner`, which is made where it is missing and stays as long
    /// as the note does. Survives the power when it returns. Nothing to do where it is noted.
    async fn share(&self, owner: &AgentId, user: &AgentId) -> Result<(), FileError>;

    /// Takes the note back. A missing one is no error.
    async fn unshare(&self, owner: &AgentId, user: &AgentId) -> Result<(), FileError>;
}
