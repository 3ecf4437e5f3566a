//! File access beneath a few root descriptors, as blocking calls.
//!
//! Every path of an agent's is opened by `root`, and by nothing else; the other rooms work on the
//! descriptors that it gives. Nothing here is asynchronous, starts a process, or knows what a tool is.

mod copy;
mod fault;
mod home;
mod ignored;
mod kind;
mod ledger;
mod path;
mod protect;
mod read;
mod remove;
mod root;
mod shares;
mod temp;
mod walk;
mod write;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kode_core::sandbox::FileError;

pub(crate) use copy::{copy_tree, discard, is_vacant, settle};
pub(crate) use fault::fault;
pub(crate) use home::{Home, work_directory};
pub(crate) use path::Allowed;
pub(crate) use remove::{clear_removed, set_aside};
pub(crate) use root::{Root, probe};
pub(crate) use shares::{is_shared, note, take_back};

use ledger::Ledger;

/// What errors call an agent's work directory.
pub(crate) const WORK: &str = "the work directory";

/// One agent's files: its work directory, the allowed paths, and what it last saw of each file.
pub(crate) struct Files {
    work: Home,
    allowed: Vec<Allowed>,
    ledger: Mutex<Ledger>,
    /// Held for the whole of a write: one agent's writes go one after another, so that none of them takes
    /// another for a change by somebody else.
    writing: Mutex<()>,
}

impl Files {
    pub(crate) fn new(work: Home, allowed: Vec<Allowed>) -> Self {
        Self { work, allowed, ledger: Mutex::default(), writing: Mutex::default() }
    }

    /// The directories that the agent may work in, its own first.
    pub(crate) fn roots(&self) -> Result<impl Iterator<Item = BorrowedFd<'_>>, FileError> {
        let allowed = self.allowed.iter().map(Allowed::root);
        Ok(std::iter::once(self.work.root()?).chain(allowed).map(|root| root.fd().as_fd()))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        held(&self.ledger)
    }
}

/// A panic while one of the locks was held leaves nothing half changed, so they stay usable.
pub(crate) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
