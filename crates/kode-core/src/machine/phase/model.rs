//! Attempts at the model: what a failure means, and when the next attempt begins.

use crate::event::{AgentState, Breakpoint};
use crate::fact::{Fact, Shift};
use crate::id::Millis;
use crate::machine::{Cx, ModelCall, State, fnv1a};
use crate::model::{ErrorClass, ModelError};

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

/// Begins an attempt: the first of the next step, or the next after a failed one.
pub(in crate::machine) fn started(state: &State, after: Option<&ModelCall>) -> Fact {
    let (step, attempt) = match after {
        Some(call) => (call.step, call.attempt + 1),
        None => (state.steps + 1, 1),
    };
    let shift = Shift { from: state.stage, to: (AgentState::Working, Breakpoint::StreamingModel) };
    Fact::ModelStarted { step, attempt, shift }
}

/// Ends an attempt that failed.
pub(in crate::machine) fn failed(cx: &Cx<'_>, call: &ModelCall, error: &ModelError) -> Fact {
    let retry_at = retry_at(cx, call, error);
    Fact::ModelFailed {
        step: call.step,
        attempt: call.attempt,
        failure: error.into(),
        retry_at,
        reset: retry_at.is_some() && !call.partial.blocks.is_empty(),
    }
}

fn retry_at(cx: &Cx<'_>, call: &ModelCall, error: &ModelError) -> Option<Millis> {
    let most = if error.class == ErrorClass::EmptyAnswer { 2 } else { MAX_ATTEMPTS };
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
fn backoff(cx: &Cx<'_>, call: &ModelCall, class: ErrorClass) -> Millis {
    let first = if class == ErrorClass::Overloaded { BACKOFF_OVERLOADED } else { BACKOFF };
    let wait = first << call.failures;
    let spread =
        fnv1a(format!("{}/{}/{}", cx.agent, call.step, call.attempt).as_bytes()) % (JITTER_PERCENT + 1);
    wait + wait * spread / 100
}
