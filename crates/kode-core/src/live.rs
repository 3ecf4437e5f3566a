//! Live tasks: the effects in flight in this process. Started when wanted, aborted when not, and nothing
//! more: what their ends mean is the machine's to say.

mod job;
mod leaving;
mod listener;
mod model;
mod says;
mod stuck;
mod summary;
mod tool;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument;

use self::leaving::Leaving;
use self::listener::Listener;
pub(crate) use self::stuck::Stuck;
use crate::event::Problem;
use crate::hook::{HookCall, Verdict};
use crate::id::{AgentId, CallId};
use crate::machine::{Effect, EffectKey, Input, Ruling};
use crate::message::Message;
use crate::model::{ErrorClass, ModelError, ModelRequest};
use crate::pages::Pages;
use crate::registry::Kit;
use crate::runtime::Shared;
use crate::sandbox::Command;
use crate::store::Lease;
use crate::tool::{Cancel, Leash, ToolCx};

/// Pieces of an answer that may wait for the driver: past it the model's stream is not read on.
const PENDING_PIECES: usize = 64;

/// How long aborted tasks may take to be gone, with all that they left behind.
const REAP_GRACE: Duration = Duration::from_secs(5);

/// What tasks need of the agent's surroundings.
pub(crate) struct Surroundings {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kit: Arc<Kit>,
    /// The right to write, for what is kept beside the journal. Its expiry is the driver's to watch.
    pub(crate) lease: Lease,
    /// The context of a call, but for its name and its cancel flag.
    pub(crate) tool_cx: ToolCx,
}

struct Running {
    abort: AbortHandle,
    leash: Leash,
    /// The tool that runs, if it is one.
    tool: Option<String>,
    /// Whether it runs processes. A thread that goes on cannot be waited for.
    processes: bool,
}

impl Running {
    /// Asks it to end, unless it has, and remembers a tool that may not.
    fn give_up(&self, around: &Surroundings) {
        if self.abort.is_finished() {
            return;
        }
        self.leash.cancel();
        self.abort.abort();
        if let Some(tool) = &self.tool {
            around.shared.stuck.add(&around.tool_cx.agent, tool, self.leash.clone());
        }
    }
}

/// Where tasks send the pieces of what they do. Boxed, as the channel has room for 32 before the first.
struct Pieces {
    to: mpsc::Sender<Box<Input>>,
    from: mpsc::Receiver<Box<Input>>,
}

/// The effects in flight of one driver.
pub(crate) struct Live {
    around: Arc<Surroundings>,
    running: BTreeMap<EffectKey, Running>,
    keys: HashMap<Id, EffectKey>,
    tasks: JoinSet<Input>,
    /// There while a task may send some: an agent at rest is spared the channel.
    pieces: Option<Pieces>,
    /// Inputs taken out of the channels that could not be given at once.
    ready: VecDeque<Input>,
    listener: Option<Listener>,
    /// Effects that were given up, as long as something of them may be there.
    leaving: Leaving,
}

impl Live {
    /// Nothing is in flight yet; hooks hear of what comes behind this history.
    pub(crate) fn new(around: Surroundings, history: &Pages<Message>) -> Self {
        let around = Arc::new(around);
        let listener = Listener::of(&around, history);
        let (running, keys, tasks) = (BTreeMap::new(), HashMap::new(), JoinSet::new());
        let (ready, leaving) = (VecDeque::new(), Leaving::default());
        Self { around, running, keys, tasks, pieces: None, ready, listener, leaving }
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
                running.give_up(&self.around);
                self.leaving.add(running.abort.id(), running.leash.clone(), running.processes);
            }
            keep
        });
        for (key, effect) in wanted {
            if !self.running.contains_key(key) {
                self.start(key.clone(), effect.clone(), &request);
            }
        }
    }

    /// Shows the history of now to those who want to hear of it.
    pub(crate) fn show(&self, history: &Pages<Message>) {
        if let Some(listener) = &self.listener {
            listener.show(history);
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
        let leash = cancel.leash();
        let agent = around.tool_cx.agent.clone();
        let (mut runs, mut processes) = (None, false);
        let abort = match (&key, effect) {
            (&EffectKey::Model { step, attempt }, _) => {
                let (request, pieces) = (request(&key), self.way_for_pieces());
                let span = tracing::info_span!("model", %agent, step, attempt);
                self.tasks.spawn(model::ask(around, request, pieces, step, attempt).instrument(span))
            }
            (&EffectKey::Prompt { step, messages }, _) => {
                self.tasks.spawn(says::pre_model(around, request(&key), step, messages))
            }
            (EffectKey::Policy { call, policy }, Effect::Policy { tool, input, traits }) => {
                let shown = HookCall { agent, call: call.clone(), tool, input };
                self.tasks.spawn(says::rule(around, shown, policy.clone(), traits))
            }
            (&EffectKey::Compact { nth, attempt }, _) => {
                self.tasks.spawn(summary::ask(around, request(&key), nth, attempt))
            }
            (EffectKey::Hooks { call }, Effect::Hooks { tool, input }) => {
                self.tasks.spawn(says::pre_tool(around, HookCall { agent, call: call.clone(), tool, input }))
            }
            (EffectKey::Tool { call, attempt }, Effect::Tool { tool, input }) => {
                let cx = ToolCx { call: call.clone(), cancel, ..around.tool_cx.clone() };
                runs = Some(tool.clone());
                processes = around.kit.tool(&tool).is_some_and(|tool| tool.traits().processes);
                let span = tracing::info_span!("tool", %agent, %call, tool);
                self.tasks.spawn(tool::run(around, cx, tool, input, *attempt).instrument(span))
            }
            (EffectKey::Job { job }, Effect::Job { line, timeout_secs }) => {
                let timeout = Duration::from_secs(timeout_secs);
                let (command, to_driver) = (Command { line, timeout }, self.way_for_pieces());
                processes = true;
                self.tasks.spawn(job::run(around, to_driver, job.clone(), command, cancel))
            }
            (
                EffectKey::Policy { .. }
                | EffectKey::Hooks { .. }
                | EffectKey::Tool { .. }
                | EffectKey::Job { .. },
                _,
            ) => return,
        };
        self.keys.insert(abort.id(), key.clone());
        self.running.insert(key, Running { abort, leash, tool: runs, processes });
    }

    /// Gives back the room of what was in flight: an empty map keeps a node, and an empty queue all that it ever had.
    /// There are many agents at rest, and few begin a turn soon.
    pub(crate) fn rest(&mut self) {
        if self.running.is_empty() && self.keys.is_empty() {
            (self.running, self.keys) = (BTreeMap::new(), HashMap::new());
        }
        self.ready.shrink_to_fit();
    }

    /// The next input of a task: a piece of an answer with all pieces that wait behind it, or an end. Cancel
    /// safe.
    pub(crate) async fn next(&mut self) -> Input {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        loop {
            if let Some(input) = self.take_ready() {
                return Poll::Ready(input);
            }
            if let Some(pieces) = &mut self.pieces
                && let Poll::Ready(Some(piece)) = pieces.from.poll_recv(cx)
            {
                self.gather(*piece);
            } else if let Poll::Ready(Some(end)) = self.tasks.poll_join_next_with_id(cx) {
                self.take_end(end);
            } else {
                return Poll::Pending;
            }
        }
    }

    /// An input that is there already.
    pub(crate) fn take_ready(&mut self) -> Option<Input> {
        if self.ready.is_empty()
            && let Some(piece) = self.take_piece()
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

    /// A way for a task to send pieces.
    fn way_for_pieces(&mut self) -> mpsc::Sender<Box<Input>> {
        let pieces = self.pieces.get_or_insert_with(|| {
            let (to, from) = mpsc::channel(PENDING_PIECES);
            Pieces { to, from }
        });
        pieces.to.clone()
    }

    /// A piece that is there already. The channel goes where nobody can send one any more.
    fn take_piece(&mut self) -> Option<Input> {
        let pieces = self.pieces.as_mut()?;
        let piece = pieces.from.try_recv().ok();
        if piece.is_none() && self.tasks.is_empty() {
            self.pieces = None;
        }
        piece.map(|piece| *piece)
    }

    /// Makes ready all pieces that wait, those of one attempt joined up to a bound: the natural batch.
    fn gather(&mut self, first: Input) {
        let mut last = first;
        while let Some(piece) = self.take_piece() {
            match (&mut last, piece) {
                (
                    Input::ModelDeltas { step, attempt, deltas },
                    Input::ModelDeltas { step: of_step, attempt: of_attempt, deltas: more },
                ) if (*step, *attempt) == (of_step, of_attempt) && !model::is_full(deltas) => {
                    deltas.extend(more);
                }
                (_, piece) => self.ready.push_back(std::mem::replace(&mut last, piece)),
            }
        }
        self.ready.push_back(last);
    }

    /// What a task sent before its end comes before its end.
    fn take_end(&mut self, end: Result<(Id, Input), JoinError>) {
        if let Some(piece) = self.take_piece() {
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
                if error.is_panic() {
                    return Some(panicked(key));
                }
                self.gone(&error.id(), key)
            }
        }
    }

    /// An aborted task is gone once nothing is left of what it had begun; until then a task waits in its place.
    fn gone(&mut self, task: &Id, key: EffectKey) -> Option<Input> {
        let gone = Input::EffectGone(key.clone());
        let Some(released) = self.leaving.released(task) else { return Some(gone) };
        let waits = self.tasks.spawn(async move {
            // What is not gone in time is given up, as the machine does by itself.
            let _ = tokio::time::timeout(REAP_GRACE, released).await;
            gone
        });
        self.keys.insert(waits.id(), key);
        None
    }

    /// Aborts everything and waits until it is gone with all that it began, within bounds: a tool that blocks its
    /// thread cannot be waited for.
    pub(crate) async fn reap(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            running.give_up(&self.around);
            self.leaving.add(running.abort.id(), running.leash, true);
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.from.close();
        }
        let all_gone = async {
            self.tasks.shutdown().await;
            self.leaving.all_released().await;
        };
        if tokio::time::timeout(REAP_GRACE, all_gone).await.is_err() {
            tracing::warn!(agent = %self.around.tool_cx.agent, "something that cannot be stopped was left behind");
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
        EffectKey::Prompt { step, messages } => {
            let (code, message) = (ErrorClass::HookFailed.code().into(), "asking the hooks failed".into());
            Input::PromptAmended { step, messages, outcome: Err(Problem { code, message }) }
        }
        EffectKey::Policy { call, policy } => {
            let ruling = Ruling::Deny(format!("asking the policy {policy} failed"));
            Input::PolicyRuled { call, policy, ruling }
        }
        EffectKey::Hooks { call } => Input::HookAnswered {
            call,
            verdict: Verdict::Deny { reason: "a hook failed on this call".into() },
        },
        EffectKey::Tool { call, attempt } => {
            Input::ToolFinished { call, attempt, outcome: Err(tool::panicked()), kept: None }
        }
        EffectKey::Job { job } => Input::JobEnded { job, end: job::failed() },
    }
}

fn provider_panicked() -> ModelError {
    ModelError::fatal(ErrorClass::Server, "the model's provider failed inside the server")
}

/// The failure of a stream without an end.
fn cut_short() -> ModelError {
    ModelError::retryable(ErrorClass::TruncatedStream, "the model's stream ended before the answer did")
}

/// The context of calls before it is known which call: its id stands for none.
pub(crate) fn no_call(agent: &AgentId) -> CallId {
    CallId::new(format!("{agent}/none"))
}
