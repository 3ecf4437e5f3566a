//! Live tasks: the effects in flight in this process. Started when wanted, aborted when not, and nothing
//! more: what their ends mean is the machine's to say.

mod summary;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::hook::{Hook, HookCall, Verdict};
use crate::id::{AgentId, CallId};
use crate::machine::{Delta, Effect, EffectKey, FoundCall, Input};
use crate::message::{Block, Usage};
use crate::model::{AskedCall, ErrorClass, Finish, Model, ModelError, ModelEvent, ModelRequest};
use crate::registry::Kit;
use crate::tool::{Cancel, ToolCx, ToolError};

/// Pieces of an answer that may wait for the driver: past it the model's stream is not read on.
const PENDING_PIECES: usize = 64;

/// How long aborted tasks may take to be gone.
const REAP_GRACE: Duration = Duration::from_secs(5);

/// What tasks need of the agent's surroundings.
pub(crate) struct Surroundings {
    pub(crate) kit: Arc<Kit>,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) hooks: Arc<[Arc<dyn Hook>]>,
    /// The context of a call, but for its name and its cancel flag.
    pub(crate) tool_cx: ToolCx,
}

struct Running {
    abort: AbortHandle,
    cancel: Cancel,
}

/// The effects in flight of one driver.
pub(crate) struct Live {
    around: Arc<Surroundings>,
    running: BTreeMap<EffectKey, Running>,
    keys: HashMap<Id, EffectKey>,
    tasks: JoinSet<Input>,
    pieces: mpsc::Receiver<Input>,
    to_pieces: mpsc::Sender<Input>,
    /// Inputs taken out of the channels that could not be given at once.
    ready: VecDeque<Input>,
}

impl Live {
    pub(crate) fn new(around: Surroundings) -> Self {
        let (to_pieces, pieces) = mpsc::channel(PENDING_PIECES);
        let (running, keys, tasks) = (BTreeMap::new(), HashMap::new(), JoinSet::new());
        Self { around: Arc::new(around), running, keys, tasks, pieces, to_pieces, ready: VecDeque::new() }
    }

    /// Starts what is missing and aborts what is not wanted. `request` renders the request that an effect
    /// sends to the model, asked for only when it is started.
    pub(crate) fn reconcile(
        &mut self,
        wanted: &BTreeMap<EffectKey, Effect>,
        request: impl Fn(&EffectKey) -> ModelRequest,
    ) {
        self.running.retain(|key, running| {
            let keep = wanted.contains_key(key);
            if !keep {
                running.cancel.cancel();
                running.abort.abort();
            }
            keep
        });
        for (key, effect) in wanted {
            if !self.running.contains_key(key) {
                self.start(key.clone(), effect.clone(), &request);
            }
        }
    }

    /// Says of each of these that it is gone, unless a task of it is still to end and will say so itself.
    pub(crate) fn report_gone(&mut self, stopping: Vec<EffectKey>) {
        for key in stopping {
            if !self.keys.values().any(|alive| *alive == key) {
                self.ready.push_back(Input::EffectGone(key));
            }
        }
    }

    fn start(&mut self, key: EffectKey, effect: Effect, request: &impl Fn(&EffectKey) -> ModelRequest) {
        let (cancel, around) = (Cancel::default(), self.around.clone());
        let abort = match (&key, effect) {
            (&EffectKey::Model { step, attempt }, _) => {
                let (request, pieces) = (request(&key), self.to_pieces.clone());
                self.tasks.spawn(ask_model(around, request, pieces, step, attempt))
            }
            (&EffectKey::Compact { nth, attempt }, _) => {
                self.tasks.spawn(summary::ask(around, request(&key), nth, attempt))
            }
            (EffectKey::Hooks { call }, Effect::Hooks { tool, input }) => {
                let agent = around.tool_cx.agent.clone();
                self.tasks.spawn(ask_hooks(around, HookCall { agent, call: call.clone(), tool, input }))
            }
            (EffectKey::Tool { call, attempt }, Effect::Tool { tool, input }) => {
                let cx = ToolCx { call: call.clone(), cancel: cancel.clone(), ..around.tool_cx.clone() };
                let attempt = *attempt;
                self.tasks.spawn(async move { run_tool(&around, cx, tool, (*input).clone(), attempt).await })
            }
            (EffectKey::Hooks { .. } | EffectKey::Tool { .. }, _) => return,
        };
        self.keys.insert(abort.id(), key.clone());
        self.running.insert(key, Running { abort, cancel });
    }

    /// The next input of a task: a piece of an answer with all pieces that wait behind it, or an end. Cancel
    /// safe.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.take_ready() {
                return input;
            }
            tokio::select! {
                biased;
                Some(piece) = self.pieces.recv() => self.gather(piece),
                Some(end) = self.tasks.join_next_with_id() => self.take_end(end),
                else => std::future::pending().await,
            }
        }
    }

    /// An input that is there already.
    pub(crate) fn take_ready(&mut self) -> Option<Input> {
        if self.ready.is_empty()
            && let Ok(piece) = self.pieces.try_recv()
        {
            self.gather(piece);
        }
        if self.ready.is_empty()
            && let Some(end) = self.tasks.try_join_next_with_id()
        {
            self.take_end(end);
        }
        self.ready.pop_front()
    }

    /// Makes ready all pieces that wait, those of one attempt joined: the natural batch.
    fn gather(&mut self, first: Input) {
        let mut last = first;
        while let Ok(piece) = self.pieces.try_recv() {
            match (&mut last, piece) {
                (
                    Input::ModelDeltas { step, attempt, deltas },
                    Input::ModelDeltas { step: of_step, attempt: of_attempt, deltas: more },
                ) if (*step, *attempt) == (of_step, of_attempt) => deltas.extend(more),
                (_, piece) => self.ready.push_back(std::mem::replace(&mut last, piece)),
            }
        }
        self.ready.push_back(last);
    }

    /// What a task sent before its end comes before its end.
    fn take_end(&mut self, end: Result<(Id, Input), JoinError>) {
        if let Ok(piece) = self.pieces.try_recv() {
            self.gather(piece);
        }
        let end = self.end_of(end);
        self.ready.extend(end);
    }

    fn end_of(&mut self, end: Result<(Id, Input), JoinError>) -> Option<Input> {
        match end {
            Ok((id, input)) => {
                self.keys.remove(&id);
                Some(input)
            }
            Err(error) => {
                let key = self.keys.remove(&error.id())?;
                Some(if error.is_panic() { panicked(key) } else { Input::EffectGone(key) })
            }
        }
    }

    /// Aborts everything and waits until it is gone, within bounds: a tool that blocks its thread cannot be
    /// waited for.
    pub(crate) async fn reap(&mut self) {
        self.running.values().for_each(|running| running.cancel.cancel());
        self.running.clear();
        self.pieces.close();
        if tokio::time::timeout(REAP_GRACE, self.tasks.shutdown()).await.is_err() {
            tracing::warn!(agent = %self.around.tool_cx.agent, "a task that blocks its thread was left behind");
        }
    }
}

/// A task that panicked spoils only what it was for.
fn panicked(key: EffectKey) -> Input {
    match key {
        EffectKey::Model { step, attempt } => {
            Input::ModelFailed { step, attempt, error: provider_panicked() }
        }
        EffectKey::Compact { nth, attempt } => {
            Input::SummaryFailed { nth, attempt, error: provider_panicked() }
        }
        EffectKey::Hooks { call } => Input::HookAnswered {
            call,
            verdict: Verdict::Deny { reason: "a hook failed on this call".into() },
        },
        EffectKey::Tool { call, attempt } => {
            let error = ToolError::new(
                "tool_panicked",
                "the tool failed inside the server; it may have taken effect in part",
            );
            Input::ToolFinished { call, attempt, outcome: Err(error) }
        }
    }
}

fn provider_panicked() -> ModelError {
    ModelError::fatal(ErrorClass::Server, "the model's provider failed inside the server")
}

/// The failure of a stream without an end.
fn cut_short() -> ModelError {
    ModelError::retryable(ErrorClass::TruncatedStream, "the model's stream ended before the answer did")
}

async fn ask_model(
    around: Arc<Surroundings>,
    request: ModelRequest,
    pieces: mpsc::Sender<Input>,
    step: u32,
    attempt: u32,
) -> Input {
    match converse(&around, request, &pieces, step, attempt).await {
        Ok(finished) => finished,
        Err(error) => Input::ModelFailed { step, attempt, error },
    }
}

async fn converse(
    around: &Surroundings,
    request: ModelRequest,
    pieces: &mpsc::Sender<Input>,
    step: u32,
    attempt: u32,
) -> Result<Input, ModelError> {
    let mut stream = around.model.stream(request).await?;
    let mut content = Vec::new();
    while let Some(event) = stream.next().await {
        let delta = match event? {
            ModelEvent::Thinking(text) => Delta::Thinking(text),
            ModelEvent::Text(text) => Delta::Text(text),
            ModelEvent::Finished { calls, finish, usage } => {
                return Ok(finished(&around.kit, step, attempt, content, calls, finish, usage));
            }
        };
        collect(&mut content, &delta);
        // A driver that is gone reads no more; the task is aborted soon.
        let _ = pieces.send(Input::ModelDeltas { step, attempt, deltas: vec![delta] }).await;
    }
    Err(cut_short())
}

fn finished(
    kit: &Kit,
    step: u32,
    attempt: u32,
    content: Vec<Block>,
    calls: Vec<AskedCall>,
    finish: Finish,
    usage: Option<Usage>,
) -> Input {
    let calls: Vec<FoundCall> = calls.into_iter().map(|asked| kit.find(asked)).collect();
    Input::ModelFinished { step, attempt, content, calls, finish, usage: usage.unwrap_or_default() }
}

fn collect(content: &mut Vec<Block>, delta: &Delta) {
    match (content.last_mut(), delta) {
        (Some(Block::Thinking { text }), Delta::Thinking(more))
        | (Some(Block::Text { text }), Delta::Text(more)) => {
            text.push_str(more);
        }
        (_, Delta::Thinking(text)) => content.push(Block::Thinking { text: text.clone() }),
        (_, Delta::Text(text)) => content.push(Block::Text { text: text.clone() }),
    }
}

/// The first hook that has something to say says it.
async fn ask_hooks(around: Arc<Surroundings>, shown: HookCall) -> Input {
    for hook in around.hooks.iter() {
        let verdict = hook.pre_tool(&shown).await;
        if verdict != Verdict::Continue {
            return Input::HookAnswered { call: shown.call, verdict };
        }
    }
    Input::HookAnswered { call: shown.call, verdict: Verdict::Continue }
}

async fn run_tool(
    around: &Surroundings,
    cx: ToolCx,
    name: String,
    input: serde_json::Value,
    attempt: u32,
) -> Input {
    let outcome = match around.kit.tool(&name) {
        Some(tool) => tool.call(&cx, input).await,
        None => Err(ToolError::new("unknown_tool", format!("there is no tool {name:?} any more"))),
    };
    Input::ToolFinished { call: cx.call, attempt, outcome }
}

/// The context of calls before it is known which call: its id stands for none.
pub(crate) fn no_call(agent: &AgentId) -> CallId {
    CallId::new(format!("{agent}/none"))
}
