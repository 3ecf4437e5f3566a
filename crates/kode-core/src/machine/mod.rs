//! The machine: what an agent is, as pure functions over its state.
//!
//! ```text
//!   input ── accept ──> facts ┐                     ┌─ project ──> envelopes
//!                             ├─> entry ── evolve ──┤
//!   state ── advance ─> fact ─┘                     └─ state ── wanted ──> effects in flight
//! ```
//!
//! Synchronous and deterministic: no clock, no randomness, no I/O, nothing erased. `accept` is the only
//! function that may refuse, `advance` reads as the life of a turn, `evolve` is total and holds no policy.

mod accept;
mod advance;
mod checkpoint;
mod context;
mod evolve;
mod heritage;
mod input;
mod jobs;
mod partial;
mod phase;
mod policy;
mod project;
mod render;
mod state;
mod step;
mod view;
mod wanted;

pub use checkpoint::CHECKPOINT_VERSION;
pub use context::{Compaction, Condensed, Context, Cut, Report, SummaryStage, overhead};
pub use heritage::{Heritage, Origin};
pub use input::{Delta, FoundCall, Input, Kept, Rejected, Settlement, Strategy};
pub use jobs::Job;
pub use partial::{Partial, Shown};
pub use phase::Reminders;
pub use policy::{Ruled, Ruling, rule};
pub use project::project;
pub use render::{Prompt, render, summary_prompt};
pub use state::{Amended, KeyRecord, ModelCall, OpenCall, Phase, Queued, Round, State, Turn};
pub use step::Batch;
pub use view::{PendingApproval, PendingCall, View};
pub use wanted::{Effect, EffectKey};

pub(crate) use phase::ending::{RESULT_MAX, text_of};

use crate::id::{AgentId, Epoch, Millis};
use crate::template::Template;

/// What the machine may know of the world at one step.
#[derive(Debug, Clone, Copy)]
pub struct Cx<'a> {
    /// Whose machine: only spreads back-off over agents.
    pub agent: &'a AgentId,
    /// The writer's term.
    pub epoch: Epoch,
    /// The time of this step.
    pub now: Millis,
    /// The template in force.
    pub template: &'a Template,
    /// Which of the host's hooks are to be asked.
    pub hooks: Hooked<'a>,
    /// Tokens that the agent's model takes, where its provider knows.
    pub window: Option<u32>,
    /// What [`overhead`] gives for the template and its tools.
    pub overhead: u64,
    /// The sandbox level at which this writer's processes run.
    pub sandbox: &'a str,
}

/// Which of the host's hooks are to be asked: plain data, since the machine calls nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooked<'a> {
    /// Before each call.
    pub calls: bool,
    /// Before the calls of these tools, which bring their own.
    pub tools: &'a [String],
    /// Before the request of each step.
    pub prompts: bool,
}

impl Hooked<'_> {
    /// Whether there are hooks to ask before a call of the named tool.
    #[must_use]
    pub fn on(&self, tool: &str) -> bool {
        self.calls || self.tools.iter().any(|name| name == tool)
    }
}

/// FNV-1a, 64 bits: stable over versions and platforms, for jitter and fingerprints, not for secrets.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}
