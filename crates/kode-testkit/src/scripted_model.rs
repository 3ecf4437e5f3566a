//! A model that says what a test tells it to: pieces, calls, failures, and gates that hold it in mid-answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use kode_core::message::Usage;
use kode_core::model::{
    AskedCall, ErrorClass, Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream,
};
use serde_json::Value;
use tokio::sync::watch;

/// Holds a model in mid-answer until the test opens it. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    arrived: Arc<watch::Sender<u32>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { open: Arc::new(watch::Sender::new(false)), arrived: Arc::new(watch::Sender::new(0)) }
    }
}

impl Gate {
    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns once someone stands before the gate or has passed it.
    pub async fn arrived(&self) {
        let mut seen = self.arrived.subscribe();
        // The sender is held by `self`.
        let _ = seen.wait_for(|count| *count > 0).await;
    }

    /// Waits here until it is opened, for tools and models of a test's own.
    pub async fn hold(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Say(ModelEvent),
    Wait(Gate),
    Fail(ModelError),
    Panic,
}

/// One answer, said piece by piece in the order in which it is written down.
///
/// ```
/// use kode_testkit::scripted_model::Script;
///
/// let script = Script::new().text("Let me ").text("look.").call("fs_read", serde_json::json!({ "path": "a.txt" }));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
    calls: Vec<AskedCall>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    cut: bool,
}

impl Script {
    /// An answer that says nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says a piece of text.
    #[must_use]
    pub fn text(self, piece: impl Into<String>) -> Self {
        self.step(Step::Say(ModelEvent::Text(piece.into())))
    }

    /// Says a piece of reasoning.
    #[must_use]
    pub fn thinking(self, piece: impl Into<String>) -> Self {
        self.step(Step::Say(ModelEvent::Thinking(piece.into())))
    }

    /// Waits at a gate.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(Step::Wait(gate.clone()))
    }

    /// Asks for a call.
    #[must_use]
    pub fn call(self, tool: &str, arguments: Value) -> Self {
        self.raw_call(tool, arguments.to_string())
    }

    /// Asks for a call with arguments as they are, JSON or not.
    #[must_use]
    pub fn raw_call(mut self, tool: &str, arguments: impl Into<String>) -> Self {
        self.calls.push(AskedCall { name: tool.to_owned(), arguments: arguments.into() });
        self
    }

    /// Ends for this reason; else for that which follows from the calls.
    #[must_use]
    pub fn finish(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }

    /// Costs this.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Fails here.
    #[must_use]
    pub fn fail(self, error: ModelError) -> Self {
        self.step(Step::Fail(error))
    }

    /// Panics here.
    #[must_use]
    pub fn panic(self) -> Self {
        self.step(Step::Panic)
    }

    /// Ends without a finish, as a cut connection does.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn into_steps(self) -> Vec<Step> {
        let by_calls = if self.calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let finish = self.finish.unwrap_or(by_calls);
        let last = Step::Say(ModelEvent::Finished { calls: self.calls, finish, usage: self.usage });
        self.steps.into_iter().chain((!self.cut).then_some(last)).collect()
    }
}

/// A model that plays one script a request, in order, and remembers what it was asked.
#[derive(Debug, Default)]
pub struct ScriptedModel {
    scripts: Mutex<VecDeque<Script>>,
    always: Option<Script>,
    requests: Mutex<Vec<ModelRequest>>,
}

impl ScriptedModel {
    /// Plays these; a request past the last one fails.
    #[must_use]
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Arc<Self> {
        Arc::new(Self { scripts: Mutex::new(scripts.into_iter().collect()), ..Self::default() })
    }

    /// Plays this one at every request.
    #[must_use]
    pub fn always(script: Script) -> Arc<Self> {
        Arc::new(Self { always: Some(script), ..Self::default() })
    }

    /// Adds a script behind the others.
    pub fn push(&self, script: Script) {
        lock(&self.scripts).push_back(script);
    }

    /// What it was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ModelRequest> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
impl Model for ScriptedModel {
    fn provider(&self) -> &str {
        "scripted"
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        lock(&self.requests).push(request);
        let script = lock(&self.scripts).pop_front().or_else(|| self.always.clone());
        let ended = || ModelError::fatal(ErrorClass::BadRequest, "the script has no more answers");
        Ok(stream::iter(script.ok_or_else(ended)?.into_steps()).filter_map(play).boxed())
    }
}

async fn play(step: Step) -> Option<Result<ModelEvent, ModelError>> {
    match step {
        Step::Say(event) => Some(Ok(event)),
        Step::Fail(error) => Some(Err(error)),
        Step::Panic => panic!("the script says panic"),
        Step::Wait(gate) => {
            gate.hold().await;
            None
        }
    }
}

/// A poisoned lock holds whole data: every critical section only moves values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
