//! Facts: what is written down. An agent is the fold of its facts and of nothing else.
//!
//! A fact carries all that its events say, so that [`crate::machine::project`] needs no state. Facts are
//! for ever: a field is added with a default, never renamed and never given another meaning.

mod entry;
mod job;
mod parts;

use serde_json::{Map, Value};

pub use self::entry::Entry;
pub use self::job::{JobEnd, JobEnded, JobStarted, JobStopRequested, JobTold};
pub use self::parts::{
    CallProblem, ChunkPart, Compacted, CompactionPlan, CondensedBy, Digest, IdempotencyKey, Kept,
    ModelFailure, NewCall, ReminderReason, SendMode, Shift, Stop,
};
use crate::call::{Call, Decision};
use crate::event::{DoneReason, Problem};
use crate::hook::{Amendment, Verdict};
use crate::id::{AgentId, CallId, MessageId, Millis, Seq, SnapshotId, TemplateId};
use crate::lineage::{Ancestor, Files};
use crate::machine::Ruling;
use crate::message::{Block, Message, Usage};
use crate::model::Finish;
use crate::tagged::tagged;
use crate::todo::{Todo, TodoList};
use crate::trace::TraceParent;

tagged! {
/// What happened.
pub enum Fact by "fact" {
    /// A writer took the agent up: the first fact of each epoch.
    Opened {
        /// [`crate::template::Template::fingerprint`] of the template in force.
        template: String,
        /// False for the agent's very first writer.
        resumed: bool,
        /// How open work is treated.
        strategy: String,
        /// Calls that were running under an older writer and will not run again.
        sealed: Vec<CallId>,
    },
    /// The agent exists.
    Created {
        /// Its template.
        template: TemplateId,
        /// The creator's own data.
        #[serde(default)]
        metadata: Map<String, Value>,
    },
    /// The agent exists, and begins where another one stood: [`Fact::Inherited`] follows.
    Forked {
        /// The agent that it was forked from.
        from: AgentId,
        /// The entry of that agent up to which it takes over.
        at: Seq,
        /// Those that `from` was forked from in turn, oldest first; a very long line lacks its oldest.
        #[serde(default)]
        ancestors: Vec<Ancestor>,
        /// Its template.
        template: TemplateId,
        /// The creator's own data.
        #[serde(default)]
        metadata: Map<String, Value>,
        /// In which work directory it works.
        #[serde(default)]
        files: Files,
    },
    /// What was said and done elsewhere becomes the beginning of this agent's history: a fork's, or one that
    /// was imported. A long one comes in several facts of one append.
    Inherited {
        /// Messages, oldest first; every call in them has its one result. Their `seq` means nothing here: this
        /// entry puts them into the history.
        #[serde(default)]
        messages: Vec<Message>,
        /// Records of ended calls, oldest first.
        #[serde(default)]
        calls: Vec<Call>,
        /// The todo list, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        todos: Option<TodoList>,
        /// Steps that were taken: the next one has the number after them, so that no call's name repeats.
        #[serde(default)]
        steps: u32,
        /// Turns that were taken, likewise.
        #[serde(default)]
        turns: u32,
        /// What the model read in place of the beginning of the history; with the last messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Box<Digest>>,
    },
    /// A place got a name.
    Snapshotted {
        /// The name.
        id: SnapshotId,
        /// The place: an entry at which no call was open.
        at: Seq,
    },
    /// A message was accepted.
    MessageQueued {
        /// Its name.
        id: MessageId,
        /// Its content.
        content: Vec<Block>,
        /// What it does to a run under way.
        mode: SendMode,
        /// The sender's own data.
        #[serde(default)]
        metadata: Map<String, Value>,
        /// The sender's name for the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<IdempotencyKey>,
        /// Where the request stands in a trace, if it is in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceParent>,
    },
    /// A turn began, with these messages.
    TurnStarted {
        /// Its number, from 1.
        turn: u32,
        /// The messages that it answers.
        messages: Vec<MessageId>,
        /// To WORKING.
        shift: Shift,
    },
    /// Messages joined the turn under way.
    Steered {
        /// Which.
        messages: Vec<MessageId>,
    },
    /// The hooks looked at the request of the next step.
    PromptAmended {
        /// Which step: the one that is about to begin.
        step: u32,
        /// What they changed, for all of its attempts.
        amendment: Amendment,
    },
    /// The model is about to be asked.
    ModelStarted {
        /// The step, from 1, over the agent's life.
        step: u32,
        /// The attempt, from 1, within the step.
        attempt: u32,
        /// To STREAMING_MODEL.
        shift: Shift,
    },
    /// Pieces of an answer, as many as arrived together. The only fact that may be buffered.
    ModelChunk {
        /// Of which step.
        step: u32,
        /// Of which attempt.
        attempt: u32,
        /// In order.
        parts: Vec<ChunkPart>,
    },
    /// A run of [`Fact::ModelChunk`] of which only the starts and ends of blocks are left: a checkpoint covers
    /// the rest. Its entry has the seq of the run's last and stands for all of them; its cursors are theirs.
    Elided {
        /// The run's first entry.
        from: Seq,
        /// Of which step.
        step: u32,
        /// Of which attempt.
        attempt: u32,
        /// The events that are left, in order.
        kept: Vec<Kept>,
    },
    /// The model answered.
    ModelAnswered {
        /// Of which step.
        step: u32,
        /// Of which attempt.
        attempt: u32,
        /// The whole answer without the calls.
        content: Vec<Block>,
        /// The calls that it asks for, in order.
        #[serde(default)]
        calls: Vec<NewCall>,
        /// The ends of blocks still open.
        #[serde(default)]
        ends: Vec<ChunkPart>,
        /// Why it stopped.
        finish: Finish,
        /// What it cost.
        usage: Usage,
        /// What the request was estimated at, in tokens; 0 in journals that are older than estimates.
        #[serde(default)]
        estimate: u64,
        /// To TOOL_PENDING, if there are calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shift: Option<Shift>,
    },
    /// An attempt failed.
    ModelFailed {
        /// Of which step.
        step: u32,
        /// Which attempt.
        attempt: u32,
        /// Why.
        failure: ModelFailure,
        /// When the next attempt begins; absent if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Millis>,
        /// Whether something was shown that is void now.
        reset: bool,
        /// Whether the history was too long and is condensed before the next attempt.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compact: bool,
    },
    /// An attempt was under way when its writer ended; whatever it had shown is void.
    ModelLost {
        /// Of which step.
        step: u32,
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt was stopped; what it had said stays in the history.
    ModelStopped {
        /// Of which step.
        step: u32,
        /// Which attempt.
        attempt: u32,
        /// What it had said.
        content: Vec<Block>,
        /// The ends of blocks still open.
        ends: Vec<ChunkPart>,
    },
    /// The history is about to be condensed: the model is asked for a summary.
    CompactionStarted {
        /// Which compaction, from 1, over the agent's life.
        nth: u32,
        /// The attempt, from 1.
        attempt: u32,
        /// What is to come of it.
        plan: CompactionPlan,
        /// Tokens of the prompt as it is.
        before: u64,
        /// To PRE_MODEL, where the agent was not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shift: Option<Shift>,
    },
    /// An attempt at a summary failed, or gave none that is of use.
    CompactionFailed {
        /// Which compaction.
        nth: u32,
        /// Which attempt.
        attempt: u32,
        /// Why.
        failure: ModelFailure,
        /// When the next attempt begins; absent if there is none, and an excerpt is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Millis>,
        /// What it cost.
        #[serde(default)]
        usage: Usage,
    },
    /// The prompt is shorter from here on. The history before stays as it was.
    Compacted(Box<Compacted>),
    /// The model is reminded of the todo list, by a message of the history.
    TodoReminded {
        /// Why.
        reason: ReminderReason,
        /// The open items.
        todos: Vec<Todo>,
        /// What the model reads.
        content: String,
    },
    /// A policy of the host's decided on a call that no list names.
    PolicyRuled {
        /// On which call.
        call: CallId,
        /// Which policy.
        policy: String,
        /// What it said.
        ruling: Ruling,
    },
    /// A hook gave its verdict.
    HookAnswered {
        /// On which call.
        call: CallId,
        /// What it said.
        verdict: Verdict,
    },
    /// Calls wait for a person; nothing else is under way.
    ApprovalsRequested {
        /// Which, as records.
        calls: Vec<Call>,
        /// To PAUSED.
        shift: Shift,
    },
    /// Only the approvals of before are waited for again.
    Paused {
        /// To PAUSED.
        shift: Shift,
    },
    /// A call was decided.
    PermissionDecided {
        /// Which.
        call: CallId,
        /// How.
        decision: Decision,
        /// By whom: a name, `policy`, `expiry` or `interrupt`.
        by: String,
        /// What they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A tool is about to run.
    ToolStarted {
        /// For which call.
        call: CallId,
        /// From 1; more only for replayable tools.
        attempt: u32,
        /// To TOOL_EXECUTING, where the agent was not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shift: Option<Shift>,
    },
    /// A running tool had something to say.
    ToolEmitted {
        /// In which call.
        call: CallId,
        /// The tool's name.
        tool: String,
        /// The tool's own type.
        event_type: String,
        /// The tool's own data.
        data: Value,
    },
    /// A call is over.
    ToolEnded {
        /// The record, with its result or error.
        call: Box<Call>,
        /// What the model reads.
        content: String,
        /// Whether the tool had been started.
        ran: bool,
        /// What went wrong, if it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<CallProblem>,
    },
    /// A background job is about to run.
    JobStarted(JobStarted),
    /// A background job is to be gone.
    JobStopRequested(JobStopRequested),
    /// Something was noticed of a background job while it ran.
    JobTold(JobTold),
    /// A background job is over.
    JobEnded(JobEnded),
    /// One round of model and tools is over.
    StepEnded {
        /// Which.
        step: u32,
        /// From its first attempt.
        duration_ms: u64,
        /// To POST_TOOL, if it had calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shift: Option<Shift>,
    },
    /// The todo list was replaced.
    TodosChanged {
        /// Before.
        previous: Vec<Todo>,
        /// After.
        current: Vec<Todo>,
        /// After.
        version: u64,
    },
    /// The run is being stopped.
    StopRequested {
        /// Why.
        stop: Stop,
    },
    /// The turn is over.
    TurnEnded {
        /// The last step.
        step: u32,
        /// The messages that it answered.
        messages: Vec<MessageId>,
        /// How it ended.
        reason: DoneReason,
        /// Why, unless it completed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Problem>,
        /// To READY, if nothing is queued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shift: Option<Shift>,
    },
}
}
