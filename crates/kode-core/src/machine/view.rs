//! What readers see of an agent: a snapshot that is swapped after each append, cheap to make and to share.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::event::{AgentState, Breakpoint};
use crate::id::{CallId, Cursor, Millis, Seq, TemplateId};
use crate::lineage::{Ancestor, Files, Snapshot};
use crate::message::{Message, Usage};
use crate::todo::TodoList;

use super::{Job, OpenCall, State};
use crate::pages::Pages;

/// A call that waits for a person.
pub type PendingApproval = PendingCall;

/// An open call that waits for somebody's word.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PendingCall {
    /// The record as told.
    pub call: Call,
    /// The whole input.
    pub input: Arc<Value>,
}

/// A snapshot of one agent, as of `seq`.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its template.
    pub template: Option<TemplateId>,
    /// The creator's own data.
    pub metadata: Map<String, Value>,
    /// When it was created.
    pub created_at: Millis,
    /// When the last entry was made.
    pub updated_at: Millis,
    /// Whether it works.
    pub state: AgentState,
    /// Where in a turn it is.
    pub breakpoint: Breakpoint,
    /// The last entry.
    pub seq: Seq,
    /// The last cursor used.
    pub cursor: Cursor,
    /// The cursor before the turn under way.
    pub turn_began: Option<Cursor>,
    /// The cursor of the last `done`.
    pub last_done: Cursor,
    /// Whether no turn is under way and no message waits. A background job may run.
    pub at_rest: bool,
    settled: bool,
    /// The background jobs that run, and those that ended last.
    pub jobs: Arc<Vec<Job>>,
    /// How many steps began.
    pub steps: u32,
    /// How many messages wait.
    pub queued: usize,
    /// The index of the last message after which every call has its result: a safe fork point; -1 if there
    /// is none.
    pub last_safe_point: i64,
    /// The history.
    pub transcript: Pages<Message>,
    /// The todo list.
    pub todos: Arc<TodoList>,
    /// What all model calls cost.
    pub usage: Usage,
    /// The calls that wait for a person.
    pub approvals: Vec<PendingApproval>,
    /// The calls that ran when their writer ended and wait for the host to say what became of them.
    pub unsettled: Vec<PendingCall>,
    /// The agents that it goes back to, oldest first, the one that it was forked from last.
    pub lineage: Arc<Vec<Ancestor>>,
    /// In which work directory it works.
    pub files: Files,
    /// The named places of its journal, oldest first.
    pub snapshots: Arc<Vec<Snapshot>>,
}

impl View {
    /// The snapshot of a state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let pending = |open: &OpenCall| PendingCall { call: open.call.clone(), input: open.input.clone() };
        let round = state.round();
        let safe = state.transcript.len() - usize::from(round.is_some() && !state.transcript.is_empty());
        Self {
            template: state.template.clone(),
            metadata: state.metadata.clone(),
            created_at: state.created_at,
            updated_at: state.updated_at,
            state: state.stage.0,
            breakpoint: state.stage.1,
            seq: state.seq,
            cursor: state.cursor,
            turn_began: state.turn.as_ref().map(|turn| turn.began),
            last_done: state.last_done,
            at_rest: state.at_rest(),
            settled: state.is_settled(),
            jobs: state.jobs.clone(),
            steps: state.steps,
            queued: state.queue.len(),
            last_safe_point: i64::try_from(safe).unwrap_or(i64::MAX) - 1,
            transcript: state.transcript.clone(),
            todos: state.todos.clone(),
            usage: state.usage,
            approvals: round
                .map(|r| r.calls.iter().filter(|c| c.undecided()).map(pending).collect())
                .unwrap_or_default(),
            unsettled: state.unsettled().map(pending).collect(),
            lineage: state.lineage.clone(),
            files: state.files.clone(),
            snapshots: state.snapshots.clone(),
        }
    }

    /// Whether nothing here needs a writer: the agent is at rest, or only a person is waited for, and no background
    /// job runs.
    #[must_use]
    pub fn may_sleep(&self) -> bool {
        self.settled && !self.has_jobs()
    }

    /// Whether no turn goes on by itself: the agent is at rest, or only a person is waited for. Background jobs may
    /// run, which come to no rest.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether nothing at all is under way: the agent is at rest, and no background job runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.at_rest && !self.has_jobs()
    }

    fn has_jobs(&self) -> bool {
        self.jobs.iter().any(Job::open)
    }

    /// When an agent that sleeps must be taken up although nobody asks for it: its first approval expires.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Millis> {
        let expiry = |open: &PendingApproval| open.call.approval.as_ref().and_then(|a| a.expires_at);
        self.approvals.iter().filter_map(expiry).min()
    }

    /// Whether a call waits for a person.
    #[must_use]
    pub fn awaits(&self, call: &CallId) -> bool {
        self.approvals.iter().any(|a| &a.call.id == call)
    }
}
