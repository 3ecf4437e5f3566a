//! From the disk's errors to the port's. No message names a path of the host.

use std::io;

use kode_core::id::AgentId;
use kode_core::store::{Damage, StoreError};

/// A failed disk operation, as the port tells it; `doing` completes "failed while …".
pub(crate) fn failed(doing: &str) -> impl Fn(io::Error) -> StoreError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("{doing}: {error}; free some space or delete agents"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::Unavailable(format!(
                "{doing}: {error}; make the store's directory writable for this user, or open it read-only"
            ))
        }
        _ => StoreError::Unavailable(format!("{doing}: {error}")),
    }
}

/// Damage at a byte of a file of the agent.
pub(crate) fn damaged(agent: &AgentId, file: &str, at: u64, what: impl Into<String>) -> StoreError {
    let place = format!("{agent}/{file}, byte {at}");
    StoreError::Damaged(Damage { agent: agent.clone(), place, what: what.into() })
}

/// A file that only a later version reads.
pub(crate) fn incompatible(place: &str, what: &str) -> StoreError {
    StoreError::Incompatible(format!(
        "{place}: {what}; use the version of kode that wrote it, or a later one"
    ))
}

/// Turns "there is none" into `None`.
pub(crate) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The runtime ended in the middle.
pub(crate) fn cut_off() -> StoreError {
    StoreError::Unavailable("the store's work was cut off".into())
}
