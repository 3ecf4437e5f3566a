//! Which effects should be in flight now. Level-triggered: the driver starts what is missing and drops what
//! is not here, whatever happened in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::id::{CallId, JobId};
use crate::tool::ToolTraits;

use super::phase::{compact, model, round};
use super::{Cx, Phase, State};

/// The name of an effect. A name never comes again, so a started effect is not started twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectKey {
    /// One attempt at the model.
    Model {
        /// Of which step.
        step: u32,
        /// Which attempt.
        attempt: u32,
    },
    /// One attempt at a summary of the history.
    Compact {
        /// Of which compaction.
        nth: u32,
        /// Which attempt.
        attempt: u32,
    },
    /// The hooks on the request of a step.
    Prompt {
        /// Which step.
        step: u32,
        /// How many messages the request has.
        messages: usize,
    },
    /// A policy of the host's on one call.
    Policy {
        /// Which call.
        call: CallId,
        /// Which policy.
        policy: String,
    },
    /// The hooks on one call.
    Hooks {
        /// Which call.
        call: CallId,
    },
    /// One start of a tool.
    Tool {
        /// For which call.
        call: CallId,
        /// Which start.
        attempt: u32,
    },
    /// A background job, which runs whether or not a turn is under way.
    Job {
        /// Which.
        job: JobId,
    },
}

/// What an effect needs beside its name.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the model with the prompt of now.
    Model,
    /// Ask it for a summary, with [`super::summary_prompt`].
    Compact,
    /// Ask the hooks about the prompt of now.
    Prompt,
    /// Ask the policy.
    Policy {
        /// The tool's name.
        tool: String,
        /// The whole input.
        input: Arc<Value>,
        /// What the tool declares.
        traits: ToolTraits,
    },
    /// Ask the hooks.
    Hooks {
        /// The tool's name.
        tool: String,
        /// The whole input.
        input: Arc<Value>,
    },
    /// Run a tool.
    Tool {
        /// Its name.
        tool: String,
        /// The whole input.
        input: Arc<Value>,
    },
    /// Run a command line in the background.
    Job {
        /// What the shell is given.
        line: String,
        /// Seconds that it may take.
        timeout_secs: u64,
    },
}

impl State {
    /// The effects that should be in flight. Those of an older writer are not: `advance` settles them first.
    #[must_use]
    pub fn wanted(&self, cx: &Cx<'_>) -> BTreeMap<EffectKey, Effect> {
        let mut wanted = self.wanted_by_turn(cx);
        wanted.extend(self.wanted_jobs());
        wanted
    }

    fn wanted_by_turn(&self, cx: &Cx<'_>) -> BTreeMap<EffectKey, Effect> {
        let Some(turn) = self.turn.as_ref().filter(|turn| turn.stop.is_none()) else {
            return BTreeMap::new();
        };
        match &turn.phase {
            Phase::Model(call) if call.epoch == self.epoch => {
                [(EffectKey::Model { step: call.step, attempt: call.attempt }, Effect::Model)].into()
            }
            Phase::Compacting(compaction) => compact::wanted(self, compaction).into_iter().collect(),
            Phase::Tools(open) => open.calls.iter().filter_map(|call| self.wanted_for(cx, call)).collect(),
            Phase::BeforeModel => model::awaited_hooks(self, cx)
                .map(|(step, messages)| (EffectKey::Prompt { step, messages }, Effect::Prompt))
                .into_iter()
                .collect(),
            Phase::Model(_)
            | Phase::Backoff { .. }
            | Phase::Overflowed(_)
            | Phase::Failed(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => BTreeMap::new(),
        }
    }

    /// The tool runs and jobs that are being stopped: each ends with [`super::Input::EffectGone`], also one that this
    /// process never came to start.
    #[must_use]
    pub fn stopping(&self) -> Vec<EffectKey> {
        let stops = self.turn.as_ref().is_some_and(|turn| turn.stop.is_some());
        let running = self.round().filter(|_| stops).map(|r| r.calls.iter().filter(|c| c.running()));
        let key =
            |open: &super::OpenCall| EffectKey::Tool { call: open.call.id.clone(), attempt: open.attempt };
        running.into_iter().flatten().map(key).chain(self.stopping_jobs()).collect()
    }

    fn wanted_for(&self, cx: &Cx<'_>, open: &super::OpenCall) -> Option<(EffectKey, Effect)> {
        let (tool, input) = (open.call.name.clone(), open.input.clone());
        let call = open.call.id.clone();
        if open.running() && open.epoch == self.epoch {
            return Some((EffectKey::Tool { call, attempt: open.attempt }, Effect::Tool { tool, input }));
        }
        match round::asks(cx, open)? {
            round::Asks::Policy(policy) => {
                let traits = open.traits.unwrap_or_default();
                Some((EffectKey::Policy { call, policy }, Effect::Policy { tool, input, traits }))
            }
            round::Asks::Hooks => Some((EffectKey::Hooks { call }, Effect::Hooks { tool, input })),
        }
    }
}
