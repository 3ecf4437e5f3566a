//! Names and positions: agents, messages, calls, journal sequence numbers, epochs and cursors.
//!
//! Everything here is a plain value with its own syntax. Nothing here makes an id: ids are minted through
//! [`crate::clock::Ids`] or derived from a position in the journal.

use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

/// Longest agent id, in bytes.
pub const AGENT_ID_MAX: usize = 200;

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// The name of one agent: 1 to 200 bytes of `A-Z a-z 0-9 . _ : @ ~ -`, not starting with `.` or `-`.
///
/// Such a name is also a safe file name, so a store may use it as one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Za-z0-9_:@~][A-Za-z0-9._:@~-]*$", "maxLength" = AGENT_ID_MAX))]
pub struct AgentId(Arc<str>);

/// Why a text is not an agent id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAgentId {
    /// The text is empty.
    #[error("an agent id must not be empty")]
    Empty,
    /// The text is longer than [`AGENT_ID_MAX`] bytes.
    #[error("an agent id has at most {AGENT_ID_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// A character outside the allowed set; told by position, as the character may be unprintable.
    #[error("an agent id may hold only A-Z a-z 0-9 . _ : @ ~ - (byte {0} is another)")]
    BadByte(usize),
    /// The first character is `.` or `-`.
    #[error("an agent id must not start with '.' or '-'")]
    BadStart,
}

impl AgentId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`InvalidAgentId`] says which rule the text breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidAgentId> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(InvalidAgentId::Empty);
        }
        if text.len() > AGENT_ID_MAX {
            return Err(InvalidAgentId::TooLong(text.len()));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@~-".contains(&b);
        if let Some(at) = text.bytes().position(|b| !allowed(b)) {
            return Err(InvalidAgentId::BadByte(at));
        }
        if text.starts_with(['.', '-']) {
            return Err(InvalidAgentId::BadStart);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name lies under `prefix` by whole `:` segments: `user:1` reaches `user:1` and
    /// `user:1:session:a`, not `user:12`. The empty prefix reaches everything.
    #[must_use]
    pub fn is_under(&self, prefix: &str) -> bool {
        let prefix = prefix.strip_suffix(':').unwrap_or(prefix);
        prefix.is_empty()
            || self.0.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}

impl TryFrom<String> for AgentId {
    type Error = InvalidAgentId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<AgentId> for String {
    fn from(id: AgentId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Reads a text to where it stays, with no copy in between.
struct Text;

impl Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

/// Text newtypes that carry no syntax of their own.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(Arc<str>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(Text).map(Self)
            }
        }

        impl $name {
            /// Takes a name as it is.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_id! {
    /// The name of one message, minted where the message enters the system, so that a retry can be recognised.
    MessageId
}
text_id! {
    /// The name of one tool call. It is kode's own and never the model's, whose ids repeat.
    CallId
}
text_id! {
    /// The name of a template.
    TemplateId
}
text_id! {
    /// The name of a place in an agent's journal.
    SnapshotId
}
text_id! {
    /// The name of a background job; the model knows it as its `shell_id`.
    JobId
}

impl JobId {
    /// The job that a call started: one call starts one at most, so the id is unique within an agent, and a replay
    /// derives the same one.
    #[must_use]
    pub fn of(call: &CallId) -> Self {
        Self::new(call.as_str().replacen("call", "shell", 1))
    }
}

impl CallId {
    /// The `index`-th call that the model asked for in `step`. Steps never repeat within an agent, so the
    /// id is unique there, and a replay derives the same one.
    #[must_use]
    pub fn of(step: u32, index: usize) -> Self {
        Self::new(format!("call_{step}_{index}"))
    }
}

/// The place of an entry in its agent's journal. The first entry has 1; 0 is before it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The term of one writer. Each grant of an agent's lease has a higher epoch than every one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// Bits of a cursor that count within an epoch.
const COUNT_BITS: u32 = 24;

impl Epoch {
    /// Before the first grant.
    pub const ZERO: Self = Self(0);
    /// The largest epoch that a cursor can carry.
    pub const MAX: Self = Self((1 << 29) - 1);
    /// Width of one unit of coarse time in an epoch: with 29 bits it lasts for 136 years.
    pub const COARSE_MS: Millis = 8_000;
    /// 2025-01-01T00:00:00Z, the zero of coarse time.
    pub const COARSE_ZERO: Millis = 1_735_689_600_000;

    /// The epoch to grant next: above the store's counter, above the journal's last entry, and above coarse
    /// time, so that a grant whose record was lost cannot come again.
    #[must_use]
    pub fn grant(counter: Self, last_entry: Self, now: Millis) -> Self {
        let coarse = now.saturating_sub(Self::COARSE_ZERO) / Self::COARSE_MS;
        let coarse = u32::try_from(coarse).unwrap_or(Self::MAX.0).min(Self::MAX.0 - 1);
        Self(counter.0.max(last_entry.0).max(coarse) + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one event of an agent: the epoch of its writer (29 bits) and a count within it (24 bits).
///
/// Cursors rise strictly over all channels and are never used twice, also when a power loss took buffered
/// events, because the next writer has a higher epoch. Below 2^53, so a JavaScript number holds one.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first event of any agent.
    pub const ZERO: Self = Self(0);
    /// How many events one epoch can name.
    pub const PER_EPOCH: u32 = (1 << COUNT_BITS) - 1;

    /// The position before the first event of an epoch.
    #[must_use]
    pub fn start_of(epoch: Epoch) -> Self {
        Self(u64::from(epoch.0) << COUNT_BITS)
    }

    /// The epoch part.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch(u32::try_from(self.0 >> COUNT_BITS).unwrap_or(u32::MAX))
    }

    /// The count within the epoch.
    #[must_use]
    pub fn count(self) -> u32 {
        (self.0 & u64::from(Self::PER_EPOCH)) as u32
    }

    /// The position `events` later, within the same epoch.
    #[must_use]
    pub fn plus(self, events: u32) -> Self {
        Self(self.0 + u64::from(events))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_id_says_which_rule_it_breaks() {
        assert!(AgentId::new("user:123:session:s1").is_ok());
        assert_eq!(AgentId::new(""), Err(InvalidAgentId::Empty));
        assert_eq!(AgentId::new("a/b"), Err(InvalidAgentId::BadByte(1)));
        assert_eq!(AgentId::new("a\0"), Err(InvalidAgentId::BadByte(1)));
        assert_eq!(AgentId::new(".."), Err(InvalidAgentId::BadStart));
        assert_eq!(AgentId::new("-rf"), Err(InvalidAgentId::BadStart));
        assert_eq!(AgentId::new("x".repeat(201)), Err(InvalidAgentId::TooLong(201)));
    }

    #[test]
    fn a_prefix_matches_whole_segments() {
        let id = AgentId::new("user:12:session:a").unwrap();
        assert!(id.is_under("user:12") && id.is_under("user:12:") && id.is_under("user") && id.is_under(""));
        assert!(!id.is_under("user:1") && !id.is_under("user:12:session:ab"));
    }

    #[test]
    fn a_cursor_fits_a_javascript_number_and_rises_with_the_epoch() {
        let last = Cursor::start_of(Epoch::MAX).plus(Cursor::PER_EPOCH);
        assert!(last.0 < 1 << 53);
        assert_eq!((last.epoch(), last.count()), (Epoch::MAX, Cursor::PER_EPOCH));
        assert!(Cursor::start_of(Epoch(7)).plus(Cursor::PER_EPOCH) < Cursor::start_of(Epoch(8)));
    }

    #[test]
    fn a_grant_is_above_counter_entry_and_coarse_time() {
        assert_eq!(Epoch::grant(Epoch(4), Epoch(9), 0), Epoch(10));
        assert_eq!(Epoch::grant(Epoch(4), Epoch(2), 0), Epoch(5));
        assert_eq!(Epoch::grant(Epoch(0), Epoch(0), Epoch::COARSE_ZERO + 10 * Epoch::COARSE_MS), Epoch(11));
    }
}
