//! What the server tells the helper, and what the helper tells back. Both sides are one build of this crate, so
//! the form may change with any version.

use std::collections::BTreeSet;

use kode_core::sandbox::Limit;
use serde::{Deserialize, Serialize};

use crate::level::Layer;

/// Longest text of a policy: what the socket between the two takes at once, with room to spare.
pub(crate) const POLICY_MAX: usize = 160 * 1024;
/// Longest command line: the kernel takes at most 128 KiB as one argument.
pub(crate) const LINE_MAX: usize = 120 * 1024;

/// What is run, and within what. With it come descriptors: the work directory, then those of `allow`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// What runs at the end.
    pub(crate) act: Act,
    /// What is put on before.
    pub(crate) layers: BTreeSet<Layer>,
    /// Those of `layers` without which nothing runs.
    pub(crate) needed: BTreeSet<Layer>,
    /// Who makes the namespaces, where they are among `layers`.
    pub(crate) builder: Builder,
    /// The environment in which it runs, but for what depends on the place.
    pub(crate) env: Vec<(String, String)>,
    /// The names of the allowed paths, as their descriptors come.
    pub(crate) allow: Vec<String>,
    /// Directories of the host's own that a minimal root must not show although they lie in what it shows.
    pub(crate) mask: Vec<String>,
    /// Milliseconds until everything is killed; the helper's own clock counts them.
    pub(crate) timeout_ms: u64,
    /// After how many milliseconds without a word of the server's everything is killed as well; never without. A server
    /// that is stopped holds its end of the socket open.
    pub(crate) silence_ms: Option<u64>,
    /// What it may use.
    pub(crate) bounds: Bounds,
    /// Whether a socket for the egress proxy is wanted.
    pub(crate) egress: bool,
    /// The user id that it gets where the server is root.
    pub(crate) owner: u32,
}

/// Who makes the namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Builder {
    /// The helper itself.
    Helper,
    /// bubblewrap, for the helper: there are hosts that leave it to nobody else.
    Bubblewrap,
}

/// What runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Act {
    /// A command line for the shell.
    Shell(String),
    /// Attempts to break out, told on the standard output.
    Probe(crate::probe::Targets),
}

/// What a process tree may use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// Bytes of memory, all together.
    pub(crate) memory: u64,
    /// Processes and threads.
    pub(crate) processes: u64,
    /// Bytes in the work directory.
    pub(crate) disk: u64,
    /// Open files of each process.
    pub(crate) files: u64,
}

/// What the helper tells, one JSON text a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub(crate) enum Told {
    /// It runs, within these layers. The egress socket comes with this line.
    Started {
        /// What is in force.
        layers: BTreeSet<Layer>,
        /// Why others are not.
        missing: Vec<String>,
    },
    /// It never ran.
    Failed {
        /// At which step.
        stage: String,
        /// Why.
        why: String,
    },
    /// It is over, and nothing of it is left.
    Ended(End),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// By itself.
    Exited(i32),
    /// By a signal of its own.
    Signaled(i32),
    /// At its time limit.
    TimedOut,
    /// For what it used.
    Over(Limit),
    /// Because the server said so, or is gone.
    Dropped,
}
