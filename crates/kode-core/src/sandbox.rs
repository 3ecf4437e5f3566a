//! The sandbox port: an agent's files, and an honest report of what is enforced around them.
//!
//! Paths are texts relative to the work directory. Whatever a path says, an implementation never reaches
//! outside the work directory and the allowed paths: that is its whole purpose.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, Millis};
use crate::template::SandboxSpec;

/// What is enforced, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// The level reached: `none`, `hygiene`, `confined`, `isolated`, `metered`, or `files` where no
    /// processes can be run at all.
    pub level: String,
    /// What is missing for the level asked, in words.
    pub gaps: Vec<String>,
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

    /// What is enforced here.
    fn report(&self) -> SandboxReport;
}

/// Makes workspaces.
#[async_trait]
pub trait SandboxFactory: Send + Sync + 'static {
    /// Opens the agent's work directory, making it where it is missing.
    ///
    /// # Errors
    /// Why it cannot be had, or what the asked level lacks here.
    async fn open(&self, agent: &AgentId, spec: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError>;

    /// Removes the agent's work directory with everything in it. A missing one is no error.
    async fn remove(&self, agent: &AgentId) -> Result<(), FileError>;
}
