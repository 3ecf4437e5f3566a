//! Messages and their content blocks, as stored, shown and sent to the model.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::id::{CallId, MessageId, Millis, Seq};
use crate::tagged::tagged;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The user, and the results of tools.
    User,
    /// The model.
    Assistant,
}

tagged! {
/// One part of a message.
#[derive(schemars::JsonSchema)]
pub enum Block by "type" {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// The model's reasoning, sent back unchanged within one tool loop.
    Thinking {
        /// The reasoning.
        text: String,
    },
    /// A call that the model asked for.
    ToolUse {
        /// The call's id (kode's own).
        id: CallId,
        /// The tool's name, as the model wrote it.
        name: String,
        /// The arguments; a JSON string holding the raw text where they were not JSON.
        input: Value,
    },
    /// What came of a call.
    ToolResult {
        /// The call answered.
        #[serde(rename = "toolUseId")]
        id: CallId,
        /// What the model reads.
        content: String,
        /// Whether the call failed.
        #[serde(rename = "isError")]
        is_error: bool,
    },
}
}

impl Block {
    /// A text block.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The text of a text block.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Thinking { .. } | Self::ToolUse { .. } | Self::ToolResult { .. } => None,
        }
    }
}

/// One message of an agent's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// Its parts.
    #[serde(deserialize_with = "snug")]
    pub content: Vec<Block>,
    /// When it entered the journal.
    pub created_at: Millis,
    /// The entry that put it into the history.
    pub seq: Seq,
    /// True where an interrupt cut the model short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The sender's own data, kept and shown, never sent to the model.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Message {
    /// All text blocks, joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.content.iter().filter_map(Block::as_text).collect()
    }
}

/// Reads the parts of a message into no more room than they take: nearly always there is one, and a history holds
/// many messages.
fn snug<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Block>, D::Error> {
    struct Parts;

    impl<'de> Visitor<'de> for Parts {
        type Value = Vec<Block>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the parts of a message")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Vec<Block>, A::Error> {
            let mut content = Vec::new();
            while let Some(part) = parts.next_element()? {
                content.reserve_exact(1);
                content.push(part);
            }
            Ok(content)
        }
    }

    from.deserialize_seq(Parts)
}

/// Tokens as the provider counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// Tokens of the request that came from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens of the answer spent on reasoning.
    pub reasoning_tokens: u64,
    /// What they cost, in millionths of the unit of the host's currency; absent where that is nothing, or not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub cost_micros: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.total_tokens += other.total_tokens;
        self.cached_tokens += other.cached_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }
}
