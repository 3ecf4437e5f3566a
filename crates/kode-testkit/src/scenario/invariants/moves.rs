//! State and breakpoint: told moves form a chain that ends where the state is, and PAUSED means waiting for
//! approvals only.

use kode_core::event::{AgentState, Breakpoint, Event};
use kode_core::machine::{OpenCall, State};

use super::{Checked, hold};

#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    stage: (AgentState, Breakpoint),
}

impl Moves {
    pub(super) fn event(&mut self, event: &Event) -> Checked {
        match event {
            Event::StateChanged { old, new, state } => {
                hold!(*old == self.stage.0 && new != old, "told {old:?} to {new:?} from {:?}", self.stage.0);
                hold!(state == new, "`state` is {state:?} and `new` is {new:?}");
                self.stage.0 = *new;
            }
            Event::BreakpointChanged { previous, current } => {
                let chained = *previous == self.stage.1 && previous != current;
                hold!(chained, "told {previous:?} to {current:?} from {:?}", self.stage.1);
                self.stage.1 = *current;
            }
            Event::PermissionRequired { .. } => {
                hold!(self.stage.0 == AgentState::Paused, "an approval was asked for before PAUSED was told");
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn state(&self, state: &State) -> Checked {
        hold!(self.stage == state.stage, "told {:?}, and is {:?}", self.stage, state.stage);
        let working = state.turn.is_some();
        hold!(working == (state.stage.0 != AgentState::Ready), "READY and a turn do not go together");
        let waits = state.round().is_some_and(|r| r.calls.iter().any(OpenCall::undecided));
        let paused = state.stage.0 == AgentState::Paused;
        hold!(!paused || waits, "PAUSED, and no approval is waited for");
        hold!(paused == (state.stage.1 == Breakpoint::AwaitingApproval), "PAUSED is AWAITING_APPROVAL");
        let still = paused || state.unsettled().next().is_some();
        let counted = state.turn.as_ref().is_none_or(|t| t.paused_since.is_some() == still);
        hold!(counted, "the turn's clock stands still exactly while PAUSED or waiting for the host");
        Ok(())
    }
}
