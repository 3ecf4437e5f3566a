//! The watch over a simulated world. It sees every lease that is granted and every entry that is accepted, at the
//! moment when the store does it, and is told what happens outside: acknowledgements, tools that start, requests to
//! a model, events that readers get. Each rule is a room of its own and is checked at once; the first one that is
//! broken is the verdict.

mod decisions;
mod epochs;
mod holders;
mod journals;
mod messages;
mod readers;
mod tools;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, CallId, Cursor, MessageId, Millis, Seq};
use kode_core::machine::project;
use kode_core::model::ModelRequest;
use kode_core::store::decorate::Decorator;
use kode_core::store::{Durability, Lease, Store, StoreResult};

use super::trace::Trace;
use crate::scenario::paired;

/// A sentence that says what is broken.
type Checked = Result<(), String>;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Epochs rise, and no entry is accepted under one that is not in force.
    Epochs,
    /// An agent has one holder at a time, by the store's clock.
    Holders,
    /// Only the holder starts tools and asks the model, and only as long as its lease lasts.
    Work,
    /// A journal is gapless, its turns and calls are whole, each turn has one `done`.
    Journals,
    /// No cursor is used twice.
    Cursors,
    /// What was acknowledged is there once, in the order of its sender.
    Messages,
    /// No tool is started before its start is in the journal, and none twice that may not be.
    Tools,
    /// A model is asked with exactly one result for each call.
    Prompts,
    /// A call is decided once.
    Decisions,
    /// A reader gets each event once, in order, from wherever it reads.
    Readers,
    /// When nothing fails any more, everything that was accepted is answered.
    Answers,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What is broken.
    pub why: String,
    /// The world's age then.
    pub at: Millis,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken after {} ms: {}", self.rule, self.at, self.why)
    }
}

/// The watch. Clones are the same one.
#[derive(Clone)]
pub struct Watch(Arc<Inner>);

struct Inner {
    trace: Arc<Trace>,
    /// Rules that are not judged.
    blind: BTreeSet<Rule>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    epochs: epochs::Epochs,
    holders: holders::Holders,
    journals: journals::Journals,
    cursors: epochs::Cursors,
    messages: messages::Messages,
    tools: tools::Tools,
    decisions: decisions::Decisions,
    log: readers::Log,
    verdict: Option<Violation>,
}

/// What was seen, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sights {
    /// Leases granted.
    pub grants: u64,
    /// Entries accepted.
    pub entries: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Tools started.
    pub tools: u64,
    /// Events that readers got.
    pub read: u64,
    /// Decisions on calls.
    pub decisions: u64,
}

impl Watch {
    /// A watch that notes what it is told in a history, and judges by all rules but these.
    #[must_use]
    pub fn new(trace: Arc<Trace>, blind: &[Rule]) -> Self {
        let blind = blind.iter().copied().collect();
        Self(Arc::new(Inner { trace, blind, seen: Mutex::default() }))
    }

    /// The first rule that was broken.
    #[must_use]
    pub fn verdict(&self) -> Option<Violation> {
        self.seen().verdict.clone()
    }

    /// What was seen so far, counted.
    #[must_use]
    pub fn sights(&self) -> Sights {
        let seen = self.seen();
        Sights {
            grants: seen.epochs.grants(),
            entries: seen.log.entries(),
            acknowledged: seen.messages.acknowledged(),
            tools: seen.tools.starts(),
            read: seen.log.read(),
            decisions: seen.decisions.count(),
        }
    }

    /// A sender was told that its message is in the journal.
    pub fn acknowledged(&self, sender: &str, agent: &AgentId, key: &str, message: &MessageId) {
        self.0.trace.note(format_args!("{sender} {key} is acknowledged as {message}"));
        self.judge(Rule::Messages, |seen| seen.messages.acknowledged_to(sender, agent, key, message));
    }

    /// A tool begins to take effect in the world, at a node, when it is so late by the store's clock.
    pub fn tool_starts(&self, (node, now): (&str, Millis), agent: &AgentId, call: &CallId, replayable: bool) {
        self.0.trace.note(format_args!("{node} starts {call} of {agent}"));
        self.judge(Rule::Work, |seen| seen.holders.works(agent, node, now));
        self.judge(Rule::Tools, |seen| seen.tools.start(agent, call, replayable));
    }

    /// A model is asked.
    pub fn model_asked(&self, node: &str, request: &ModelRequest) {
        self.0.trace.note(format_args!("{node} asks the model {}", request.request_id));
        self.judge(Rule::Prompts, |_| paired(request.messages.iter()));
    }

    /// A reader of an agent got its next event.
    pub fn reader_got(&self, agent: &AgentId, after: Cursor, envelope: &Envelope) {
        self.judge(Rule::Readers, |seen| seen.log.got(agent, after, envelope));
    }

    /// Up to where an agent's events were told.
    #[must_use]
    pub fn head(&self, agent: &AgentId) -> Cursor {
        self.seen().log.head(agent)
    }

    /// Whether every message that is in a journal was answered.
    #[must_use]
    pub fn all_answered(&self) -> bool {
        self.seen().messages.unanswered().next().is_none()
    }

    /// Nothing fails any more, and there was time enough.
    pub fn time_is_up(&self, rest: &str) {
        self.judge(Rule::Answers, |seen| {
            let left: Vec<_> = seen.messages.unanswered().collect();
            let agents: BTreeSet<&AgentId> = left.iter().map(|(agent, _)| agent).collect();
            let endings: String = agents.into_iter().map(|agent| seen.log.ending(agent)).collect();
            Err(format!("not answered: {left:?}; {rest}{endings}"))
        });
    }

    fn granted(&self, lease: &Lease, holder: &str, (ttl, now): (Millis, Millis)) {
        self.judge(Rule::Epochs, |seen| seen.epochs.granted(lease));
        self.judge(Rule::Holders, |seen| seen.holders.granted(lease, holder, now.saturating_add(ttl), now));
    }

    fn renewed(&self, lease: &Lease, (ttl, now): (Millis, Millis)) {
        self.judge(Rule::Holders, |seen| seen.holders.renewed(lease, now.saturating_add(ttl)));
    }

    fn released(&self, lease: &Lease) {
        self.seen().holders.released(lease);
    }

    fn accepted(&self, lease: &Lease, entries: &[Entry]) {
        let agent = &lease.agent;
        self.judge(Rule::Epochs, |seen| seen.epochs.accepted(lease, entries));
        for entry in entries {
            let told = project(entry);
            self.judge(Rule::Cursors, |seen| seen.cursors.used(agent, entry, &told));
            self.judge(Rule::Journals, |seen| seen.journals.entry(agent, entry));
            self.judge(Rule::Messages, |seen| seen.messages.entry(agent, entry));
            self.judge(Rule::Decisions, |seen| seen.decisions.entry(agent, entry));
            let mut seen = self.seen();
            seen.tools.entry(agent, entry);
            seen.log.entry(agent, entry, told);
        }
    }

    fn judge(&self, rule: Rule, look: impl FnOnce(&mut Seen) -> Checked) {
        let mut seen = self.seen();
        let Err(why) = look(&mut seen) else { return };
        if seen.verdict.is_none() && !self.0.blind.contains(&rule) {
            let violation = Violation { rule, why, at: self.0.trace.now() };
            self.0.trace.note(format_args!("VIOLATION {violation}"));
            seen.verdict = Some(violation);
        }
    }

    /// A poisoned lock holds whole data: every critical section only looks and counts.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store under watch. It belongs behind the network: what is seen here is what the store did.
pub struct Watched<S> {
    store: S,
    watch: Watch,
}

impl<S: Store> Watched<S> {
    /// Puts a store under watch.
    pub fn new(store: S, watch: Watch) -> Self {
        Self { store, watch }
    }
}

#[async_trait]
impl<S: Store> Decorator for Watched<S> {
    fn inner(&self) -> &dyn Store {
        &self.store
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        self.store.append(lease, expected, entries, grade).await?;
        self.watch.accepted(lease, entries);
        Ok(())
    }

    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let lease = self.store.acquire(agent, holder, ttl, now).await?;
        self.watch.granted(&lease, holder, (ttl, now));
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let renewed = self.store.renew(lease, ttl, now).await?;
        self.watch.renewed(&renewed, (ttl, now));
        Ok(renewed)
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.store.release(lease.clone(), clean).await?;
        self.watch.released(&lease);
        Ok(())
    }
}
