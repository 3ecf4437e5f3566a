//! A compaction under way, as state.

use serde::{Deserialize, Serialize};

use crate::fact::CompactionPlan;
use crate::id::{Epoch, Millis};
use crate::machine::{ModelCall, Phase, State};

/// A compaction under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compaction {
    /// Which one.
    pub nth: u32,
    /// Which attempt at its summary, from 1.
    pub attempt: u32,
    /// How many attempts failed before.
    pub failures: u32,
    /// The writer under which the attempt began.
    pub epoch: Epoch,
    /// What is to come of it.
    pub plan: CompactionPlan,
    /// Tokens of the prompt without it.
    pub before: u64,
    /// How far the attempt is.
    pub stage: SummaryStage,
    /// The attempt at the model that was refused as too long.
    pub refused: Option<ModelCall>,
}

/// How far an attempt at a summary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SummaryStage {
    /// The model is asked.
    Asking,
    /// It failed; the next one waits.
    Waiting {
        /// Until when.
        until: Millis,
    },
    /// The last one failed.
    GivenUp,
}

impl State {
    /// The compaction that is under way.
    #[must_use]
    pub fn compaction(&self) -> Option<&Compaction> {
        match &self.turn.as_ref()?.phase {
            Phase::Compacting(compaction) => Some(compaction),
            Phase::BeforeModel
            | Phase::Model(_)
            | Phase::Backoff { .. }
            | Phase::Overflowed(_)
            | Phase::Failed(_)
            | Phase::Tools(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => None,
        }
    }
}
