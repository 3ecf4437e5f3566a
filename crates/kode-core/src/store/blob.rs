//! The port for what is too big for an entry: bytes kept whole beside an agent's journal, each under a name.
//!
//! A blob is in place before the fact that speaks of it, so a fact never names what is not there. What never
//! belongs here: what the bytes mean.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Lease, StoreError, StoreResult};
use crate::id::{AgentId, CallId};

/// Most bytes of one blob: 8 MiB.
pub const BLOB_MAX: usize = 8 << 20;
/// Most blobs of one agent.
pub const BLOBS_MAX: usize = 256;
/// Longest blob name, in bytes.
const NAME_MAX: usize = 100;

/// A name within one agent's blobs: 1 to 100 of `a-z A-Z 0-9 . _ -`, the first no dot, so that it is the name of
/// a file, a key and a column alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

/// A text that names no blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no blob name: 1 to {NAME_MAX} of a-z A-Z 0-9 . _ -, the first no dot")]
pub struct InvalidBlobName(pub String);

impl BlobName {
    /// Checks a name.
    ///
    /// # Errors
    /// The text, if it is none.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidBlobName> {
        let name = name.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let good =
            (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.');
        if good { Ok(Self(name)) } else { Err(InvalidBlobName(name)) }
    }

    /// The name under which the whole result of a call is kept.
    ///
    /// # Errors
    /// [`InvalidBlobName`] for a call id that no agent has given.
    pub fn of_result(call: &CallId) -> Result<Self, InvalidBlobName> {
        Self::new(format!("result-{call}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPart {
    /// The bytes from the offset on; fewer than asked for at the end, none beyond it.
    pub bytes: Bytes,
    /// How long the whole blob is.
    pub len: u64,
}

/// The blobs of agents. They are no journal: nothing is folded from them, and they go with their agent.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps bytes under a name, in place of those that it had. Atomic, and durable (as
    /// [`super::Durability::Synced`]) when it returns. The agent MUST have an entry. Not cancel safe: a dropped
    /// call may or may not have kept them.
    ///
    /// # Errors
    /// `Fenced`, `Conflict` (the agent has no entry): nothing was written. `Full`: there is no space, the blob is
    /// above [`BLOB_MAX`], or the agent has [`BLOBS_MAX`] others; what was there stays. `Unavailable`: not
    /// known. The lease stays usable after each but `Fenced`.
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()>;

    /// At most `limit` bytes of a blob from `offset` on; `None` where the agent has none of that name. Takes no
    /// lease.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>>;
}

/// Whether there is room for a blob of `len` bytes beside `others`. For stores: all refuse in the same words.
///
/// # Errors
/// `Full`, with the bound.
pub fn room(len: usize, others: usize) -> StoreResult<()> {
    if len > BLOB_MAX {
        return Err(StoreError::Full(format!("a blob has at most {BLOB_MAX} bytes, not {len}")));
    }
    if others >= BLOBS_MAX {
        return Err(StoreError::Full(format!("an agent has at most {BLOBS_MAX} blobs")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g8_a_blob_name_leads_nowhere_else() {
        for good in ["a", "result-call_1_0", "A.b_c-9", &"x".repeat(NAME_MAX)] {
            assert_eq!(BlobName::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "..", ".a", "a/b", "../a", "a\0", "a b", "é", "a:b", &"x".repeat(NAME_MAX + 1)]
        {
            assert_eq!(BlobName::new(bad), Err(InvalidBlobName(bad.to_owned())));
        }
        assert_eq!(BlobName::of_result(&CallId::of(3, 1)), BlobName::new("result-call_3_1"));
        assert!(BlobName::of_result(&CallId::new("../x")).is_err());
    }
}
