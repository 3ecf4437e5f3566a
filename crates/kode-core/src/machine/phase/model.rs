//! Attempts at the model: what a failure means, and when the next attempt begins.

use crate::event::{AgentState, Breakpoint};
use crate::fact::{Fact, Shift};
use crate::id::Millis;
use crate::machine::{Cx, ModelCall, Phase, State, fnv1a};
use crate::model::{ErrorClass, ModelError};

use super::compact;

/// Attempts at one step that may fail.
const MAX_ATTEMPTS: u32 = 4;
/// The first wait; each later one is twice as long.
const BACKOFF: Millis = 1_000;
/// The first wait for a provider that says it is overloaded. With its doublings and the largest jitter the
/// three waits stay below 20 s.
const BACKOFF_OVERLOADED: Millis = 2_000;
/// The largest jitter, in percent of the wait.
const JITTER_PERCENT: u64 = 40;
/// The longest wait that a provider may ask for: past it, waiting is no longer what the user wants.
const RETRY_AFTER_MAX: Millis = 120_000;

/// The step whose request the hooks are to look at, and how many messages it has. A message that joins meanwhile
/// makes it another request, which they have not seen.
pub(in crate::machine) fn awaited_hooks(state: &State, cx: &Cx<'_>) -> Option<(u32, usize)> {
    let step = state.steps + 1;
    let turn = state.turn.as_ref().filter(|turn| turn.stop.is_none() && turn.phase == Phase::BeforeModel)?;
    let amended = turn.amended.as_ref().is_some_and(|amended| amended.step == step);
    (cx.hooks.prompts && !amended).then_some((step, state.transcript.len()))
}

/// Begins an attempt: the first of the next step, or the next after a failed one.
pub(in crate::machine) fn started(state: &State, after: Option<&ModelCall>) -> Fact {
    let (step, attempt) = match after {
        Some(call) => (call.step, call.attempt + 1),
        None => (state.steps + 1, 1),
    };
    let shift = Shift { from: state.stage, to: (AgentState::Working, Breakpoint::StreamingModel) };
    Fact::ModelStarted { step, attempt, shift }
}

/// Ends an attempt that failed. One that was too long is made again, once a step, behind a compaction.
pub(in crate::machine) fn failed(state: &State, cx: &Cx<'_>, call: &ModelCall, error: &ModelError) -> Fact {
    let ModelCall { step, attempt, failures, .. } = *call;
    let retry_at = retry_at(cx, Tried { step, attempt, failures }, error, MAX_ATTEMPTS);
    let too_long = error.class == ErrorClass::ContextOverflow && !call.condensed;
    let compact = too_long && retry_at.is_none() && compact::forced(state, cx).is_some();
    Fact::ModelFailed {
        step,
        attempt,
        failure: error.into(),
        retry_at,
        reset: (retry_at.is_some() || compact) && !call.partial.blocks.is_empty(),
        compact,
    }
}

/// An attempt that failed, and how many had failed before it.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Tried {
    pub(in crate::machine) step: u32,
    pub(in crate::machine) attempt: u32,
    pub(in crate::machine) failures: u32,
}

/// When the next attempt begins, if one does: at most `most` may fail.
pub(in crate::machine) fn retry_at(
    cx: &Cx<'_>,
    call: Tried,
    error: &ModelError,
    most: u32,
) -> Option<Millis> {
    let most = if error.class == ErrorClass::EmptyAnswer { 2 } else { most };
    if !error.retryable || call.failures + 1 >= most {
        return None;
    }
    match error.retry_after {
        Some(wish) if wish > RETRY_AFTER_MAX => None,
        Some(wish) => Some(cx.now + wish.max(backoff(cx, call, error.class))),
        None => Some(cx.now + backoff(cx, call, error.class)),
    }
}

/// Doubles with each failure, and spreads agents that failed together by a hash of who and what failed.
fn backoff(cx: &Cx<'_>, call: Tried, class: ErrorClass) -> Millis {
    let first = if class == ErrorClass::Overloaded { BACKOFF_OVERLOADED } else { BACKOFF };
    let wait = first << call.failures;
    let spread =
        fnv1a(format!("{}/{}/{}", cx.agent, call.step, call.attempt).as_bytes()) % (JITTER_PERCENT + 1);
    wait + wait * spread / 100
}
