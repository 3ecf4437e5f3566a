//! The arms of `advance` that grew rooms of their own: the model's attempts, the compaction of the history, the
//! reminders, the round of calls, and the ways in which a call ends.

pub(super) mod compact;
pub(in crate::machine) mod ending;
pub(super) mod model;
pub(super) mod remind;
pub(super) mod round;

pub use self::remind::Reminders;
use crate::event::{AgentState, Breakpoint};
use crate::fact::Shift;
use crate::id::Millis;

use super::State;

/// How long what is to be stopped may take to be gone before its end is told without it.
pub(super) const STOP_GRACE: Millis = 5_000;

/// The time `secs` later, or the end of time: a template may hold any number.
pub(super) fn after(at: Millis, secs: u64) -> Millis {
    at.saturating_add(secs.saturating_mul(1_000))
}

/// The move to another state and breakpoint; none where the agent is there.
pub(super) fn shift(state: &State, to: AgentState, at: Breakpoint) -> Option<Shift> {
    let shift = Shift { from: state.stage, to: (to, at) };
    (shift.from != shift.to).then_some(shift)
}
