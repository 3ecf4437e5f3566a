//! An obliging world: it answers whatever the machine wants, so that every run comes to its end.

use kode_core::call::Decision;
use kode_core::hook::{Amendment, Verdict};
use kode_core::machine::{EffectKey, Input, OpenCall, Ruling, Settlement};
use kode_core::message::{Block, Usage};
use kode_core::model::Finish;
use kode_core::sandbox::ProcessEnd;
use kode_testkit::scenario::Subject;
use serde_json::json;

/// More answers than any run needs.
const PATIENCE: usize = 400;

/// Answers until the agent rests.
pub(crate) fn settle(subject: &mut Subject) {
    for _ in 0..PATIENCE {
        if subject.state().at_rest() {
            return;
        }
        oblige(subject);
    }
    panic!("the agent does not come to rest: {:#?}", subject.state().turn);
}

/// Gives the machine the one thing that it waits for most.
pub(crate) fn oblige(subject: &mut Subject) {
    subject.at("the obliging world");
    if let Some(input) = subject.wanted().into_keys().next().map(answer).or_else(|| unblock(subject)) {
        let _ = subject.input(input).expect("what is wanted is not refused");
        return;
    }
    let Some(deadline) = subject.deadline() else { return };
    subject.pass(deadline.saturating_sub(subject.now()));
    let _ = subject.input(Input::Tick).expect("a tick is never refused");
}

/// The answer to an effect.
pub(crate) fn answer(key: EffectKey) -> Input {
    match key {
        EffectKey::Model { step, attempt } => Input::ModelFinished {
            step,
            attempt,
            content: vec![Block::text("done")],
            calls: Vec::new(),
            finish: Finish::Stop,
            usage: Usage::default(),
            edited: false,
        },
        EffectKey::Compact { nth, attempt } => Input::Summarised {
            nth,
            attempt,
            text: "They talked.".into(),
            finish: Finish::Stop,
            usage: Usage::default(),
        },
        EffectKey::Prompt { step, messages } => {
            Input::PromptAmended { step, messages, outcome: Ok(Amendment::default()) }
        }
        EffectKey::Policy { call, policy } => Input::PolicyRuled { call, policy, ruling: Ruling::Allow },
        EffectKey::Hooks { call } => Input::HookAnswered { call, verdict: Verdict::Continue },
        EffectKey::Tool { call, attempt } => {
            Input::ToolFinished { call, attempt, outcome: Ok(json!({ "ok": true })), kept: None }
        }
        EffectKey::Job { job } => Input::JobEnded { job, end: ProcessEnd::Exited { code: 0 } },
    }
}

/// The host's word, a decision, or the end of a process that was stopped.
fn unblock(subject: &Subject) -> Option<Input> {
    if let Some(stopped) = subject.state().open_jobs().find(|job| job.stop.is_some()) {
        return Some(Input::EffectGone(EffectKey::Job { job: stopped.id.clone() }));
    }
    let round = subject.state().round()?;
    if let Some(open) = subject.state().unsettled().next() {
        let (call, by) = (open.call.id.clone(), "world".into());
        return Some(Input::Settle { call, outcome: Settlement::Unknown, by });
    }
    if let Some(stopped) = round.calls.iter().find(|c| c.running()) {
        let (call, attempt) = (stopped.call.id.clone(), stopped.attempt);
        return Some(Input::EffectGone(EffectKey::Tool { call, attempt }));
    }
    let in_time = |c: &&OpenCall| {
        let expires = c.call.approval.as_ref().and_then(|a| a.expires_at);
        c.undecided() && expires.is_none_or(|at| at > subject.now())
    };
    round.calls.iter().find(in_time).map(|asked| Input::Decide {
        call: asked.call.id.clone(),
        decision: Decision::Allow,
        by: "world".into(),
        note: None,
    })
}
