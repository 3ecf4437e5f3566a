//! Snapshots and forks: which places can be named and forked at, and what a fork takes over.
//!
//! A fork takes over facts in the vocabulary of facts, never a state, so it needs nothing of its parent later. The
//! queue, idempotency keys, approvals and whatever is under way stay behind.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::fact::{Digest, Entry, Fact};
use crate::id::{AgentId, CallId, Seq, SnapshotId, TemplateId};
use crate::lineage::{Ancestor, Files, ForkPoint, NotForkable, Snapshot};
use crate::message::{Block, Message, Role};
use crate::todo::TodoList;

use super::accept::Accepted;
use super::evolve::results_message;
use super::{OpenCall, Rejected, Round, State};

/// Snapshots of one agent.
const SNAPSHOTS_MAX: usize = 1_000;
/// Longest name of a snapshot, in bytes.
const LABEL_MAX: usize = 200;
/// Ancestors that a fork remembers.
const ANCESTORS_MAX: usize = 64;
/// Messages or records of one entry, and their bytes: what is larger alone has an entry of its own.
const PAGE_ITEMS: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;

/// Where a fork comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The agent.
    pub from: AgentId,
    /// The entry up to which the fork takes over.
    pub at: Seq,
    /// Those that the agent was forked from in turn, oldest first.
    pub ancestors: Vec<Ancestor>,
    /// The fork's template.
    pub template: TemplateId,
    /// The creator's own data.
    pub metadata: Map<String, Value>,
    /// In which work directory the fork works.
    pub files: Files,
}

/// What was said and done elsewhere, for an agent that has done nothing yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heritage {
    /// Messages, oldest first; every call in them has its one result, in the next message.
    pub messages: Vec<Message>,
    /// Records of ended calls, oldest first.
    pub calls: Vec<Call>,
    /// The todo list, where there was one.
    pub todos: Option<TodoList>,
    /// Steps that were taken.
    pub steps: u32,
    /// Turns that were taken.
    pub turns: u32,
    /// What the model read in place of the beginning of the messages.
    pub digest: Option<Digest>,
}

impl State {
    /// The newest entry up to here at which no call was open: where the agent can be forked. None before it
    /// exists.
    #[must_use]
    pub fn fork_point(&self) -> Option<Seq> {
        self.template.as_ref()?;
        Some(self.round().filter(|round| round.is_open()).map_or(self.seq, |round| round.before))
    }

    /// The entry that a fork point means, as this state knows it: the one folded to the journal's end.
    ///
    /// # Errors
    /// [`NotForkable`], as far as that can be said without a look at the entry.
    pub fn resolve(&self, point: &ForkPoint) -> Result<Seq, NotForkable> {
        match point {
            ForkPoint::Last => self.fork_point().ok_or(NotForkable::TooEarly(self.seq)),
            ForkPoint::Seq(at) if *at > self.seq => {
                Err(NotForkable::Future { at: *at, head: self.seq, nearest: self.fork_point() })
            }
            ForkPoint::Seq(at) => Ok(*at),
            ForkPoint::Snapshot(id) => {
                let known = self.snapshots.iter().find(|known| known.id == *id);
                known.map(|known| known.seq).ok_or_else(|| NotForkable::UnknownSnapshot(id.clone()))
            }
        }
    }

    /// What a fork takes over of this state, the one folded up to `at`.
    ///
    /// # Errors
    /// [`NotForkable::OpenCall`], [`NotForkable::TooEarly`], [`NotForkable::Flawed`].
    pub fn heritage(&self, at: Seq) -> Result<Heritage, NotForkable> {
        if self.template.is_none() {
            return Err(NotForkable::TooEarly(at));
        }
        let round = self.round();
        if round.is_some_and(Round::is_open) {
            return Err(NotForkable::OpenCall { at, nearest: self.fork_point() });
        }
        // Every call of the round is over, and its results have not joined the history yet.
        let results = round.map(|round| results_message(round, self.seq, self.updated_at));
        let messages: Vec<_> =
            self.transcript.iter().map(|message| (**message).clone()).chain(results).collect();
        if let Some(why) = flaw(&messages) {
            return Err(NotForkable::Flawed { at, why });
        }
        Ok(Heritage {
            messages,
            calls: self.records.iter().map(|call| (**call).clone()).collect(),
            todos: Some((*self.todos).clone()).filter(|list| *list != TodoList::default()),
            steps: self.steps,
            turns: self.turns,
            digest: self.context.digest(),
        })
    }

    /// The agents that this one goes back to, as a fork of it remembers them: oldest first, and of a very long
    /// line the newest.
    #[must_use]
    pub fn ancestors(&self) -> Vec<Ancestor> {
        let newest = self.lineage.len().saturating_sub(ANCESTORS_MAX);
        self.lineage[newest..].to_vec()
    }

    /// Folds in where the agent comes from.
    pub(super) fn descend(&mut self, entry: &Entry) {
        let Fact::Forked { from, at, ancestors, template, metadata, files } = &entry.fact else { return };
        self.template = Some(template.clone());
        self.metadata = metadata.clone();
        self.created_at = entry.at;
        self.files = files.clone();
        let parent = Ancestor { agent_id: from.clone(), seq: *at };
        self.lineage = Arc::new(ancestors.iter().cloned().chain([parent]).collect());
    }

    /// Folds in what was said and done elsewhere.
    pub(super) fn inherit(&mut self, entry: &Entry) {
        let Fact::Inherited { messages, calls, todos, steps, turns, digest } = &entry.fact else { return };
        for message in messages {
            self.append(Message { seq: entry.seq, ..message.clone() });
        }
        calls.iter().for_each(|call| self.records.push(Arc::new(call.clone())));
        if let Some(todos) = todos {
            self.todos = Arc::new(todos.clone());
        }
        self.steps = self.steps.max(*steps);
        self.turns = self.turns.max(*turns);
        if let Some(digest) = digest {
            self.read_instead(digest, entry.seq);
        }
    }

    /// Folds in a name.
    pub(super) fn name(&mut self, entry: &Entry) {
        let Fact::Snapshotted { id, at } = &entry.fact else { return };
        let snapshot = Snapshot { id: id.clone(), seq: *at, created_at: entry.at };
        Arc::make_mut(&mut self.snapshots).push(snapshot);
    }

    pub(super) fn fork(&self, origin: Origin) -> Accepted {
        if let Some(old) = &self.template {
            return Err(Rejected::Exists(old.clone()));
        }
        let Origin { from, at, ancestors, template, metadata, files } = origin;
        Ok(vec![Fact::Forked { from, at, ancestors, template, metadata, files }])
    }

    pub(super) fn take_over(&self, heritage: Heritage) -> Accepted {
        if self.template.is_none() {
            return Err(Rejected::NoAgent);
        }
        let begun = self.turns > 0 || !self.transcript.is_empty() || !self.records.is_empty();
        if begun || !self.at_rest() {
            return Err(Rejected::HasHistory);
        }
        match flaw(&heritage.messages) {
            Some(flaw) => Err(Rejected::BadHistory(flaw)),
            None => Ok(heritage.pages()),
        }
    }

    pub(super) fn snapshot(&self, id: SnapshotId) -> Accepted {
        let at = self.fork_point().ok_or(Rejected::NoAgent)?;
        if let Some(why) = unusable(id.as_str()) {
            return Err(Rejected::BadLabel(why));
        }
        if self.snapshots.iter().any(|known| known.id == id) {
            return Err(Rejected::SnapshotExists(id));
        }
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            return Err(Rejected::TooManySnapshots(SNAPSHOTS_MAX));
        }
        Ok(vec![Fact::Snapshotted { id, at }])
    }
}

impl Round {
    /// Whether a call of it has no result yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.calls.iter().all(OpenCall::ended)
    }
}

/// Why a text names no snapshot. Digits alone are a seq to whoever forks.
fn unusable(label: &str) -> Option<&'static str> {
    if label.trim().is_empty() {
        Some("it is blank")
    } else if label.len() > LABEL_MAX {
        Some("it is longer than 200 bytes")
    } else if label.chars().any(char::is_control) {
        Some("it has a control character in it")
    } else if label.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("it is a number, which would be taken for a seq")
    } else {
        None
    }
}

impl Heritage {
    /// The facts of it, none too large; the first one has what is no list, and the last one what speaks of the
    /// whole.
    fn pages(self) -> Vec<Fact> {
        let Self { messages, calls, todos, steps, turns, digest } = self;
        let part = |messages, calls| Fact::Inherited {
            messages,
            calls,
            todos: None,
            steps: 0,
            turns: 0,
            digest: None,
        };
        let first =
            Fact::Inherited { messages: Vec::new(), calls: Vec::new(), todos, steps, turns, digest: None };
        let has_results = |message: &Message| message.content.iter().any(|block| answered(block).is_some());
        let of_messages = pages(messages, has_results).into_iter().map(|messages| (messages, Vec::new()));
        let of_calls = pages(calls, |_| false).into_iter().map(|calls| (Vec::new(), calls));
        let lists = of_messages.chain(of_calls).map(|(messages, calls)| part(messages, calls));
        let last = digest.map(|digest| Fact::Inherited {
            messages: Vec::new(),
            calls: Vec::new(),
            todos: None,
            steps: 0,
            turns: 0,
            digest: Some(Box::new(digest)),
        });
        [first].into_iter().chain(lists).chain(last).collect()
    }
}

/// Cuts a list into pieces that stay below the bounds where their items do, and never before one that belongs to
/// the one before it.
fn pages<T: Serialize>(items: Vec<T>, belongs: impl Fn(&T) -> bool) -> Vec<Vec<T>> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut bytes = PAGE_BYTES;
    for item in items {
        let size = serde_json::to_vec(&item).map_or(0, |json| json.len());
        match pages.last_mut() {
            Some(page) if belongs(&item) || (page.len() < PAGE_ITEMS && bytes + size <= PAGE_BYTES) => {
                bytes += size;
                page.push(item);
            }
            Some(_) | None => {
                bytes = size;
                pages.push(vec![item]);
            }
        }
    }
    pages
}

/// What no model would take of a history: a call without its one result in the next message, or a message
/// without content.
fn flaw(messages: &[Message]) -> Option<String> {
    let mut open: Vec<&CallId> = Vec::new();
    for message in messages {
        let (calls, results) = (ids(message, asked), ids(message, answered));
        if message.content.is_empty() {
            return Some(format!("message {} is empty", message.id));
        }
        if results != open {
            return Some(format!("message {} has results for {results:?} instead of {open:?}", message.id));
        }
        let speaks = if calls.is_empty() { message.role } else { Role::Assistant };
        if message.role != speaks || (!results.is_empty() && message.role != Role::User) {
            return Some(format!("message {} has calls or results of the other side", message.id));
        }
        open = calls;
    }
    (!open.is_empty()).then(|| format!("the calls {open:?} have no results"))
}

fn ids(message: &Message, pick: fn(&Block) -> Option<&CallId>) -> Vec<&CallId> {
    message.content.iter().filter_map(pick).collect()
}

fn asked(block: &Block) -> Option<&CallId> {
    match block {
        Block::ToolUse { id, .. } => Some(id),
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolResult { .. } => None,
    }
}

fn answered(block: &Block) -> Option<&CallId> {
    match block {
        Block::ToolResult { id, .. } => Some(id),
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolUse { .. } => None,
    }
}
