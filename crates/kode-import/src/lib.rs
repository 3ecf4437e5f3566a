//! Reads the file store of the TypeScript SDK into kode's journals.
//!
#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! ```text
//! source   which agents there are, and their documents (the only room with files)
//! said     messages taken apart ──┐
//! record   records of calls ──────┼─> history   a history that a model takes ──> agent ──> journal (one append)
//! todos · name · time ────────────┘
//! ```

mod agent;
mod history;
mod journal;
mod name;
mod note;
mod record;
mod said;
mod source;
mod surrogates;
mod time;
mod todos;

use kode_core::store::StoreError;

pub use agent::Imported;
pub use journal::Written;
pub use name::{agent_id, upstream_name};
pub use note::{Note, NoteKind};
pub use source::Source;

/// Why something was not imported. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The directory is a store of kode's.
    #[error("the directory is a kode store already; give the one that the TypeScript SDK wrote")]
    OwnStore,
    /// Something cannot be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// Which file, within the store.
        what: String,
        /// Why.
        why: String,
    },
    /// A file is not what upstream writes.
    #[error("{file} is broken ({why}); mend it or take the agent's directory from a copy, then import again")]
    Broken {
        /// Which, within the agent's directory.
        file: String,
        /// How.
        why: String,
    },
    /// The name cannot be one of ours.
    #[error("the name cannot be an agent's id here: {0}; rename its directory, then import again")]
    Name(String),
    /// The machine does not take the history.
    #[error("the history is not one that an agent can have: {0}")]
    Machine(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refused {
    fn unreadable(what: &str, error: &std::io::Error) -> Self {
        Self::Unreadable { what: what.to_owned(), why: error.to_string() }
    }
}
