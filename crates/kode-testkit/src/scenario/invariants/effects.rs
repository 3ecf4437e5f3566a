//! Effects: each is durable before it is wanted, no name comes back, a tool runs once unless it may run
//! again, the machine is at rest after a step, and it never waits for nothing.

use std::collections::{BTreeMap, BTreeSet};

use kode_core::fact::{Entry, Fact};
use kode_core::id::{CallId, Epoch, Millis};
use kode_core::machine::{Cx, EffectKey, OpenCall, State, SummaryStage, render, summary_prompt};

use super::prompt::{Requests, answerable};
use super::{Checked, hold};

#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    /// Starts in the journal, with the epoch of their writer.
    started: BTreeMap<EffectKey, Epoch>,
    /// Starts of each call.
    starts: BTreeMap<CallId, u32>,
    wanted: BTreeSet<EffectKey>,
    /// Names that were wanted once and are not any more.
    over: BTreeSet<EffectKey>,
    /// What the last `Opened` said would end as unknown, and has not ended.
    sealed: BTreeSet<CallId>,
    /// Whether the last writer left it to the host what became of running calls.
    manual: bool,
    epoch: Epoch,
    template_changed: bool,
    prompt: Requests,
}

impl Effects {
    pub(super) fn template_changed(&mut self) {
        self.template_changed = true;
    }

    pub(super) fn entry(&mut self, entry: &Entry) -> Checked {
        self.prompt.entry(entry);
        match &entry.fact {
            Fact::ModelStarted { step, attempt, .. } => {
                self.started.insert(EffectKey::Model { step: *step, attempt: *attempt }, entry.epoch);
            }
            Fact::CompactionStarted { nth, attempt, .. } => {
                self.started.insert(EffectKey::Compact { nth: *nth, attempt: *attempt }, entry.epoch);
            }
            Fact::ToolStarted { call, attempt, .. } => {
                *self.starts.entry(call.clone()).or_default() += 1;
                self.started.insert(EffectKey::Tool { call: call.clone(), attempt: *attempt }, entry.epoch);
            }
            Fact::JobStarted(started) => {
                self.started.insert(EffectKey::Job { job: started.job.clone() }, entry.epoch);
            }
            Fact::Opened { sealed, strategy, .. } => {
                self.sealed = sealed.iter().cloned().collect();
                self.manual = strategy == "manual";
            }
            Fact::ToolEnded { call, problem: Some(problem), .. } if problem.code == "unknown_outcome" => {
                let told = self.sealed.remove(&call.id) || self.template_changed || self.manual;
                hold!(told, "{} ended as unknown, and `sealed` left it out", call.id);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn state(&mut self, cx: &Cx<'_>, state: &State) -> Checked {
        hold!(state.advance(cx).is_none(), "the machine is not at rest after a step");
        hold!(self.sealed.is_empty(), "told as sealed, and went on: {:?}", self.sealed);
        self.keys(cx, state)?;
        deadline(cx, state)?;
        not_stuck(cx, state)
    }

    fn keys(&mut self, cx: &Cx<'_>, state: &State) -> Checked {
        self.new_writer(cx.epoch);
        let wanted: BTreeSet<_> = state.wanted(cx).into_keys().collect();
        for key in &wanted {
            hold!(!self.over.contains(key), "{key:?} is wanted again");
            self.key(cx, state, key)?;
        }
        let tools = wanted.iter().filter(|key| matches!(key, EffectKey::Tool { .. })).count();
        let most = cx.template.limits.parallel_tools.max(1);
        hold!(tools <= most || self.template_changed, "{tools} tools at once where {most} may be");
        self.over.extend(self.wanted.difference(&wanted).cloned());
        self.wanted = wanted;
        Ok(())
    }

    /// Nothing outlives its writer; hooks and policies whose word was not durable may be asked again by the next one.
    fn new_writer(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            self.over.append(&mut self.wanted);
            self.over.retain(|key| match key {
                EffectKey::Prompt { .. } | EffectKey::Policy { .. } | EffectKey::Hooks { .. } => false,
                EffectKey::Model { .. }
                | EffectKey::Compact { .. }
                | EffectKey::Tool { .. }
                | EffectKey::Job { .. } => true,
            });
            self.epoch = epoch;
        }
    }

    fn key(&self, cx: &Cx<'_>, state: &State, key: &EffectKey) -> Checked {
        let durable = self.started.get(key) == Some(&cx.epoch);
        match key {
            EffectKey::Model { .. } => {
                hold!(durable, "{key:?} is wanted before its start is durable");
                self.prompt.sendable(&render(state, cx.template))
            }
            EffectKey::Compact { .. } => {
                hold!(durable, "{key:?} is wanted before its start is durable");
                let prompt =
                    summary_prompt(state, cx).ok_or("a summary is wanted, and nothing asks for it")?;
                answerable(&prompt)
            }
            EffectKey::Tool { call, .. } => {
                hold!(durable, "{key:?} is wanted before its start is durable");
                let replayable = state.open_call(call).and_then(|c| c.traits).is_some_and(|t| t.replayable);
                let starts = self.starts.get(call).copied().unwrap_or_default();
                hold!(starts == 1 || replayable, "{call} was started {starts} times and is not replayable");
                Ok(())
            }
            EffectKey::Job { .. } => {
                hold!(durable, "{key:?} is wanted before its start is durable");
                Ok(())
            }
            EffectKey::Prompt { step, .. } => {
                hold!(*step == state.steps + 1, "hooks on the request of step {step} come too late");
                self.prompt.sendable(&render(state, cx.template))
            }
            EffectKey::Hooks { call } | EffectKey::Policy { call, .. } => {
                hold!(state.open_call(call).is_some_and(|c| c.attempt == 0), "hooks on {call} come too late");
                Ok(())
            }
        }
    }
}

/// The deadline lies ahead, something happens at it, and nothing happens before it.
fn deadline(cx: &Cx<'_>, state: &State) -> Checked {
    let at = |now: Millis| state.advance(&Cx { now, ..*cx });
    let Some(deadline) = state.deadline(cx) else {
        let later = at(cx.now.saturating_add(1_000_000_000));
        hold!(later.is_none(), "no deadline, and time alone gives {later:?}");
        return Ok(());
    };
    hold!(deadline > cx.now, "the deadline is {} ms ago", cx.now - deadline);
    hold!(at(deadline).is_some(), "nothing happens at the deadline in {} ms", deadline - cx.now);
    let early = at(deadline - 1);
    hold!(early.is_none(), "before the deadline comes {early:?}");
    Ok(())
}

/// A turn under way has an effect in flight, a person or the host to wait for, a time to wait for, or processes that
/// are about to be gone.
fn not_stuck(cx: &Cx<'_>, state: &State) -> Checked {
    let Some(turn) = &state.turn else { return Ok(()) };
    let calls = || state.round().into_iter().flat_map(|round| &round.calls);
    let stopping = state.stopping().iter().any(|key| matches!(key, EffectKey::Job { .. }));
    let waits = state.wanted(cx).keys().any(|key| !matches!(key, EffectKey::Job { .. }))
        || (turn.stop.is_some() && stopping)
        || matches!(turn.phase, kode_core::machine::Phase::Backoff { .. })
        || state.compaction().is_some_and(|c| matches!(c.stage, SummaryStage::Waiting { .. }))
        || (turn.stop.is_some() && calls().any(OpenCall::running))
        || (turn.stop.is_none() && calls().any(OpenCall::undecided))
        || state.unsettled().next().is_some();
    hold!(waits, "a turn is under way and waits for nothing: {:?}", turn.phase);
    Ok(())
}
