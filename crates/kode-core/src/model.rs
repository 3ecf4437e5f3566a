//! The model port: one request in, a stream of deltas out.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::Millis;
use crate::message::{Message, Usage};
use crate::pages::Pages;

/// A tool as the model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name, `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON schema of its arguments.
    pub input_schema: Value,
}

/// Everything that one attempt sends. Messages are shared, not copied.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The model's name.
    pub model: String,
    /// The system prompt; the same bytes each time, so that the provider's cache serves.
    pub system: Arc<str>,
    /// The history, in order: every [`crate::message::Block::ToolUse`] has its one result in the next
    /// message.
    pub messages: Pages<Message>,
    /// Where in `messages` the turn under way begins. Reasoning is sent back from there on only: it belongs
    /// to its own tool loop, and older messages stay shared instead of being copied without it.
    pub turn_start: usize,
    /// The tools, sorted by name.
    pub tools: Arc<[ToolSpec]>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// New for each attempt.
    pub request_id: String,
    /// Names the agent without naming a person: a hash.
    pub user: String,
}

/// A tool call as the model wrote it, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedCall {
    /// The tool's name.
    pub name: String,
    /// The arguments as text. Empty means `{}`; anything that is not a JSON object is told to the model as
    /// an error and never run.
    pub arguments: String,
}

/// Why the model stopped, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    Stop,
    /// It wants tools.
    ToolCalls,
    /// It ran into its limit of tokens: the last call may be cut.
    Length,
}

/// What comes out of a model's stream, in order. [`ModelEvent::Finished`] is the last; a stream that ends
/// without it was cut.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// Who answers, as the provider says it; once at most, before all else.
    Began {
        /// The model, which need not have the name that was asked for.
        model: Option<String>,
        /// The provider's own name of the answer.
        id: Option<String>,
    },
    /// A piece of reasoning; never empty.
    Thinking(String),
    /// A piece of text; never empty.
    Text(String),
    /// The answer is whole.
    Finished {
        /// The calls it asks for, in order.
        calls: Vec<AskedCall>,
        /// Why it stopped.
        finish: Finish,
        /// What it cost, if told.
        usage: Option<Usage>,
    },
}

/// What kind of failure a model call met. The text form is public (`error` events, `done`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The key is missing, wrong or expired.
    Auth,
    /// The account cannot pay.
    Billing,
    /// The request was refused as malformed.
    BadRequest,
    /// There is no such model.
    ModelNotFound,
    /// The account may not use this.
    Permission,
    /// The address is not that of a chat API.
    MisconfiguredBaseUrl,
    /// The history is too long for the model.
    ContextOverflow,
    /// A content filter stopped it.
    ContentFiltered,
    /// Too many requests.
    RateLimited,
    /// The provider is overloaded.
    Overloaded,
    /// A quota is used up.
    QuotaExhausted,
    /// A quota is used up until a known time.
    QuotaWindow,
    /// The provider failed.
    Server,
    /// The provider gave up in mid-answer.
    UpstreamInterrupted,
    /// The stream ended without a finish.
    TruncatedStream,
    /// A piece of the stream could not be read.
    MalformedChunk,
    /// The model gave neither text nor calls.
    EmptyAnswer,
    /// Nothing came in time.
    Timeout,
    /// No connection.
    Network,
    /// A hook of the host's gave no answer on the request or on what came of it.
    HookFailed,
}

impl ErrorClass {
    /// The stable text form.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::BadRequest => "bad_request",
            Self::ModelNotFound => "model_not_found",
            Self::Permission => "permission",
            Self::MisconfiguredBaseUrl => "misconfigured_base_url",
            Self::ContextOverflow => "context_overflow",
            Self::ContentFiltered => "content_filtered",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::QuotaExhausted => "quota_exhausted",
            Self::QuotaWindow => "quota_window",
            Self::Server => "server",
            Self::UpstreamInterrupted => "upstream_interrupted",
            Self::TruncatedStream => "truncated_stream",
            Self::MalformedChunk => "malformed_chunk",
            Self::EmptyAnswer => "empty_answer",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::HookFailed => "hook_failed",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A failed attempt. The callee says whether another may help; the machine decides whether one is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct ModelError {
    /// What kind.
    pub class: ErrorClass,
    /// For a person; holds no secret.
    pub message: String,
    /// The provider's own code.
    pub provider_code: Option<String>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The provider's own wish for how long to wait.
    pub retry_after: Option<Millis>,
}

impl ModelError {
    /// A failure that another attempt does not mend.
    #[must_use]
    pub fn fatal(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), provider_code: None, retryable: false, retry_after: None }
    }

    /// A failure that another attempt may mend.
    #[must_use]
    pub fn retryable(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::fatal(class, message) }
    }
}

/// What comes out of a model: pieces, then [`ModelEvent::Finished`], or an error at any point.
pub type ModelStream = BoxStream<'static, Result<ModelEvent, ModelError>>;

/// A model. One attempt a call: retrying is the machine's.
#[async_trait]
pub trait Model: Send + Sync + 'static {
    /// A short name of the provider for logs and `/api/metrics`; no secret.
    fn provider(&self) -> &str;

    /// Tokens that the named model takes, request and answer together, where that is known. The history is
    /// condensed before it outgrows them; a template may say otherwise.
    fn window(&self, model: &str) -> Option<u32> {
        let _ = model;
        None
    }

    /// Sends one request. Dropping the future or the stream cancels the request at the provider.
    ///
    /// # Errors
    /// [`ModelError`] before the first piece; the stream gives those after it.
    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError>;
}
