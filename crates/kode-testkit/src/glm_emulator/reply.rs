//! One scripted answer: what it says, how it is cut up, and how it fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Holds a stream between two writes until the test lets it go on.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets `writes` more through.
    pub fn release(&self, writes: usize) {
        self.0.add_permits(writes);
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits for leave to write.
    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// What later fragments of a tool call's arguments repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FragmentStyle {
    /// Id, type and name, each time: what every client accepts.
    #[default]
    Repeat,
    /// Id and name as empty text.
    Empty,
    /// Nothing but the index.
    Omit,
}

/// What an answer says.
#[derive(Debug, Clone, Default)]
pub(super) struct Saying {
    pub(super) thinking: String,
    pub(super) text: String,
    pub(super) calls: Vec<(String, String)>,
    pub(super) pieces: usize,
    pub(super) fragments: usize,
    pub(super) style: FragmentStyle,
    pub(super) usage: Option<(u64, u64)>,
    pub(super) finish: Option<String>,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// Said by a model: a stream or a whole answer, as the client asks.
    Said(Saying),
    /// These bytes, in one or more writes.
    Bytes { content_type: String, writes: Vec<Bytes> },
}

/// How an answer goes wrong, after that many writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The stream ends in good order, but too early.
    End(usize),
    /// The connection is cut.
    Cut(usize),
    /// Broken JSON takes the place of the next chunk.
    Malformed(usize),
    /// Nothing more comes until the client goes away.
    Stall(usize),
}

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) gate: Option<Gate>,
    pub(super) gap: Option<Duration>,
    pub(super) fault: Option<Fault>,
}

impl Reply {
    fn of(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body, gate: None, gap: None, fault: None }
    }

    /// An answer that says this, in one chunk.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(200, Body::Said(Saying { text: text.into(), ..Saying::default() }))
    }

    /// An answer that asks for one tool call; [`Reply::and_call`] adds more.
    #[must_use]
    pub fn call(name: &str, arguments: &Value) -> Self {
        Self::text("").and_call(name, arguments)
    }

    /// A failure with the API's error body.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message}}))
    }

    /// Any status with any JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json; charset=UTF-8", body.to_string())
    }

    /// Any status with any body.
    #[must_use]
    pub fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let (content_type, writes) = (content_type.to_owned(), vec![body.into()]);
        Self::of(status, Body::Bytes { content_type, writes })
    }

    /// A raw event stream, each item in a write of its own.
    #[must_use]
    pub fn wire<B: Into<Bytes>>(writes: impl IntoIterator<Item = B>) -> Self {
        let content_type = "text/event-stream;charset=UTF-8".to_owned();
        Self::of(200, Body::Bytes { content_type, writes: writes.into_iter().map(Into::into).collect() })
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this reasoning before the text.
    #[must_use]
    pub fn thinking(self, text: impl Into<String>) -> Self {
        self.say(|saying| saying.thinking = text.into())
    }

    /// With one more tool call.
    #[must_use]
    pub fn and_call(self, name: &str, arguments: &Value) -> Self {
        self.say(|saying| saying.calls.push((name.to_owned(), arguments.to_string())))
    }

    /// With one more tool call whose arguments are this text, JSON or not.
    #[must_use]
    pub fn and_raw_call(self, name: &str, arguments: &str) -> Self {
        self.say(|saying| saying.calls.push((name.to_owned(), arguments.to_owned())))
    }

    /// Reasoning and text in this many chunks each, as evenly as characters allow.
    #[must_use]
    pub fn pieces(self, pieces: usize) -> Self {
        self.say(|saying| saying.pieces = pieces)
    }

    /// A tool call's arguments in this many fragments, where the client asked for `tool_stream`.
    #[must_use]
    pub fn fragments(self, fragments: usize, style: FragmentStyle) -> Self {
        self.say(|saying| (saying.fragments, saying.style) = (fragments, style))
    }

    /// With these tokens of request and answer; 1 each, if not said.
    #[must_use]
    pub fn usage(self, input: u64, output: u64) -> Self {
        self.say(|saying| saying.usage = Some((input, output)))
    }

    /// With this finish instead of `stop` or `tool_calls`.
    #[must_use]
    pub fn finish(self, reason: &str) -> Self {
        self.say(|saying| saying.finish = Some(reason.to_owned()))
    }

    /// Each write of the body waits for the gate, and so does the end of the body, which counts as one more.
    #[must_use]
    pub fn held_by(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Each write but the first comes this long after the one before: a real model's pace, for
    /// demonstrations and load. A test uses [`Reply::held_by`].
    #[must_use]
    pub fn paced(mut self, gap: Duration) -> Self {
        self.gap = Some(gap);
        self
    }

    /// The stream ends in good order after that many writes.
    #[must_use]
    pub fn ending_after(self, writes: usize) -> Self {
        self.failing(Fault::End(writes))
    }

    /// The connection is cut after that many writes.
    #[must_use]
    pub fn cut_after(self, writes: usize) -> Self {
        self.failing(Fault::Cut(writes))
    }

    /// Broken JSON follows after that many writes.
    #[must_use]
    pub fn malformed_after(self, writes: usize) -> Self {
        self.failing(Fault::Malformed(writes))
    }

    /// Nothing follows after that many writes; the connection stays open until the client closes it. With 0
    /// not even the status comes.
    #[must_use]
    pub fn stalling_after(self, writes: usize) -> Self {
        self.failing(Fault::Stall(writes))
    }

    fn failing(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Changes what is said; raw bodies say nothing and stay.
    fn say(mut self, change: impl FnOnce(&mut Saying)) -> Self {
        if let Body::Said(saying) = &mut self.body {
            change(saying);
        }
        self
    }
}
