//! The compaction of the history: begun before the model is asked, ended with a summary by the model, or with
//! an excerpt where it gives none of use.

use crate::event::{AgentState, Breakpoint};
use crate::fact::{Compacted, CompactionPlan, CondensedBy, Fact};
use crate::id::Millis;
use crate::machine::context::{self, Parts, Planned};
use crate::machine::{Compaction, Cx, Effect, EffectKey, State, SummaryStage};
use crate::message::Usage;
use crate::model::{ErrorClass, Finish, ModelError};

use super::model::{Tried, retry_at};
use super::shift;

/// Attempts at one summary that may fail.
const MAX_ATTEMPTS: u32 = 3;

/// The compaction that is due before the model is asked.
pub(in crate::machine) fn due(state: &State, cx: &Cx<'_>) -> Option<Fact> {
    context::due(state, cx).map(|planned| begun(state, cx, planned))
}

/// The compaction after the provider refused a request as too long; none where it would win nothing.
pub(in crate::machine) fn forced(state: &State, cx: &Cx<'_>) -> Option<Fact> {
    context::forced(state, cx).map(|planned| begun(state, cx, planned))
}

/// Cutting results needs no model.
fn begun(state: &State, cx: &Cx<'_>, Planned { plan, before }: Planned) -> Fact {
    let nth = state.context.begun + 1;
    if plan.room > 0 {
        let shift = shift(state, AgentState::Working, Breakpoint::PreModel);
        return Fact::CompactionStarted { nth, attempt: 1, plan, before, shift };
    }
    let nothing = (CondensedBy::Cut, String::new());
    condensed(state, cx, (nth, 0), (plan, before), nothing, Usage::default())
}

/// The next move of a compaction that nobody stops.
pub(in crate::machine) fn advance(state: &State, cx: &Cx<'_>, compaction: &Compaction) -> Option<Fact> {
    match compaction.stage {
        SummaryStage::Asking => (compaction.epoch < state.epoch).then(|| again(state, compaction)),
        SummaryStage::Waiting { until } => (until <= cx.now).then(|| again(state, compaction)),
        SummaryStage::GivenUp => {
            let Compaction { nth, attempt, plan, before, .. } = compaction;
            let excerpt = context::excerpt(state, cx, plan);
            let told = (CondensedBy::Excerpt, excerpt);
            Some(condensed(state, cx, (*nth, *attempt), (plan.clone(), *before), told, Usage::default()))
        }
    }
}

fn again(state: &State, compaction: &Compaction) -> Fact {
    let Compaction { nth, attempt, plan, before, .. } = compaction;
    let shift = shift(state, AgentState::Working, Breakpoint::PreModel);
    Fact::CompactionStarted { nth: *nth, attempt: attempt + 1, plan: plan.clone(), before: *before, shift }
}

/// When a compaction must be looked at again.
pub(in crate::machine) fn deadline(compaction: &Compaction) -> Option<Millis> {
    match compaction.stage {
        SummaryStage::Waiting { until } => Some(until),
        SummaryStage::Asking | SummaryStage::GivenUp => None,
    }
}

/// The request for a summary, while it should be in flight.
pub(in crate::machine) fn wanted(state: &State, compaction: &Compaction) -> Option<(EffectKey, Effect)> {
    let Compaction { nth, attempt, .. } = compaction;
    let asking = compaction.stage == SummaryStage::Asking && compaction.epoch == state.epoch;
    asking.then_some((EffectKey::Compact { nth: *nth, attempt: *attempt }, Effect::Compact))
}

/// What the model gave for a summary.
pub(in crate::machine) fn summarised(
    state: &State,
    cx: &Cx<'_>,
    compaction: &Compaction,
    text: &str,
    finish: Finish,
    usage: Usage,
) -> Fact {
    let text = text.trim();
    if let Some(why) = useless(&compaction.plan, text, finish) {
        let error = ModelError::retryable(ErrorClass::EmptyAnswer, why);
        return failed(cx, compaction, &error, usage);
    }
    let Compaction { nth, attempt, plan, before, .. } = compaction;
    let told = (CondensedBy::Model, text.to_owned());
    condensed(state, cx, (*nth, *attempt), (plan.clone(), *before), told, usage)
}

/// Why a summary is of no use.
fn useless(plan: &CompactionPlan, text: &str, finish: Finish) -> Option<&'static str> {
    if text.is_empty() {
        return Some("the model gave no summary of the history");
    }
    if finish == Finish::Length {
        return Some("the model's summary of the history was cut at its limit of tokens");
    }
    (context::weigh_text(text) > plan.room).then_some("the model's summary of the history is too long")
}

/// Ends an attempt that failed.
pub(in crate::machine) fn failed(
    cx: &Cx<'_>,
    compaction: &Compaction,
    error: &ModelError,
    usage: Usage,
) -> Fact {
    let Compaction { nth, attempt, failures, .. } = *compaction;
    let tried = Tried { step: nth, attempt, failures };
    let retry_at = retry_at(cx, tried, error, MAX_ATTEMPTS);
    Fact::CompactionFailed { nth, attempt, failure: error.into(), retry_at, usage }
}

fn condensed(
    state: &State,
    cx: &Cx<'_>,
    (nth, attempt): (u32, u32),
    (plan, before): (CompactionPlan, u64),
    (by, summary): (CondensedBy, String),
    usage: Usage,
) -> Fact {
    let language = cx.template.language();
    let (preface, todos) = match by {
        CondensedBy::Cut => (String::new(), String::new()),
        CondensedBy::Model | CondensedBy::Excerpt => {
            (context::words(language).preface.to_owned(), context::todos(&state.todos.todos, language))
        }
    };
    let after =
        context::after(state, cx, &plan, Parts { preface: &preface, summary: &summary, todos: &todos });
    Fact::Compacted(Box::new(Compacted {
        nth,
        attempt,
        plan,
        by,
        preface,
        summary,
        todos,
        before,
        after,
        usage,
    }))
}
