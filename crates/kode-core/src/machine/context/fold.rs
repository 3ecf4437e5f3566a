//! How the facts of compactions and reminders become state. Total, without policy, bound to old journals, as
//! all of `evolve`.

use std::sync::Arc;

use crate::fact::{CompactionPlan, CondensedBy, Entry, ReminderReason};
use crate::id::{MessageId, Millis, Seq};
use crate::machine::{Compaction, Cx, ModelCall, Phase, State, SummaryStage};
use crate::message::{Block, Message, Role, Usage};

use super::Scale;

/// What the message for the left out part is made of.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Parts<'a> {
    pub(in crate::machine) preface: &'a str,
    pub(in crate::machine) summary: &'a str,
    pub(in crate::machine) todos: &'a str,
}

impl Parts<'_> {
    /// The message; none where there is no summary.
    fn message(self, nth: u32, created_at: Millis, seq: Seq) -> Option<Arc<Message>> {
        let Parts { preface, summary, todos } = self;
        let text = Block::text(format!("{preface}\n\n{summary}"));
        let todos = (!todos.is_empty()).then(|| Block::text(todos));
        let content = [text].into_iter().chain(todos).collect();
        let message = Message {
            id: MessageId::new(format!("summary_{nth}")),
            role: Role::User,
            content,
            created_at,
            seq,
            interrupted: false,
            metadata: serde_json::Map::new(),
        };
        (!summary.is_empty()).then(|| Arc::new(message))
    }
}

/// Tokens of the prompt that a plan leads to.
pub(in crate::machine) fn after(state: &State, cx: &Cx<'_>, plan: &CompactionPlan, parts: Parts<'_>) -> u64 {
    let mut then = state.clone();
    then.condense(plan, parts.message(0, cx.now, state.seq));
    Scale::of(&then.context).tokens(then.estimate(cx))
}

impl State {
    pub(in crate::machine) fn compaction_started(
        &mut self,
        entry: &Entry,
        (nth, attempt): (u32, u32),
        plan: &CompactionPlan,
        before: u64,
    ) {
        let failures = self.compaction().map_or(0, |compaction| compaction.failures);
        let refused = self.refused();
        self.context.begun = nth;
        self.enter_phase(Phase::Compacting(Box::new(Compaction {
            nth,
            attempt,
            failures,
            epoch: entry.epoch,
            plan: plan.clone(),
            before,
            stage: SummaryStage::Asking,
            refused,
        })));
    }

    pub(in crate::machine) fn compaction_failed(&mut self, retry_at: Option<Millis>, usage: Usage) {
        self.usage += usage;
        if let Some(compaction) = self.compaction().cloned() {
            let stage = retry_at.map_or(SummaryStage::GivenUp, |until| SummaryStage::Waiting { until });
            let failures = compaction.failures + 1;
            self.enter_phase(Phase::Compacting(Box::new(Compaction { stage, failures, ..compaction })));
        }
    }

    /// The prompt is shorter; what was refused as too long is tried again at once.
    pub(in crate::machine) fn compacted(
        &mut self,
        entry: &Entry,
        nth: u32,
        (plan, by): (&CompactionPlan, CondensedBy),
        parts: Parts<'_>,
        usage: Usage,
    ) {
        self.usage += usage;
        self.context.begun = nth;
        let message = match by {
            CondensedBy::Cut => None,
            CondensedBy::Model | CondensedBy::Excerpt => parts.message(nth, entry.at, entry.seq),
        };
        self.condense(plan, message);
        self.enter_phase(match self.refused() {
            Some(call) => Phase::Backoff { call: ModelCall { condensed: true, ..call }, until: entry.at },
            None => Phase::BeforeModel,
        });
    }

    /// The attempt at the model that is to be tried again after a compaction.
    fn refused(&self) -> Option<ModelCall> {
        match &self.turn.as_ref()?.phase {
            Phase::Overflowed(call) => Some(call.clone()),
            Phase::Compacting(compaction) => compaction.refused.clone(),
            Phase::BeforeModel
            | Phase::Model(_)
            | Phase::Backoff { .. }
            | Phase::Failed(_)
            | Phase::Tools(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => None,
        }
    }

    pub(in crate::machine) fn reminded(&mut self, entry: &Entry, reason: ReminderReason, content: &str) {
        self.reminders.quiet = 0;
        self.reminders.turn = self.turns;
        self.reminders.told_empty |= reason == ReminderReason::Empty;
        self.append(Message {
            // Turns and steps go on in a fork, seqs do not: its own reminders have other names than those it took over.
            id: MessageId::new(format!("reminder_{}_{}", self.turns, self.steps)),
            role: Role::User,
            content: vec![Block::text(content)],
            created_at: entry.at,
            seq: entry.seq,
            interrupted: false,
            metadata: serde_json::Map::new(),
        });
    }
}
