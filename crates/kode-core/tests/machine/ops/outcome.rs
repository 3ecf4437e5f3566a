//! What comes of an effect in a random life.

use kode_core::event::Problem;
use kode_core::fact::CallProblem;
use kode_core::hook::{Amendment, Verdict};
use kode_core::machine::{Delta, EffectKey, FoundCall, Input, Kept, Ruling};
use kode_core::message::{Block, Usage};
use kode_core::model::{Finish, ModelError};
use kode_core::sandbox::ProcessEnd;
use kode_core::tool::{ToolError, ToolTraits};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::TOOLS;
use crate::values::{class, text, value};

/// What comes of an effect, for each kind of them.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    model: Said,
    amendment: Result<Amendment, Problem>,
    ruling: Ruling,
    verdict: Verdict,
    kept: Option<Kept>,
    edited: bool,
    tool: Result<Value, ToolError>,
    emits: bool,
}

/// What a model does.
#[derive(Debug, Clone)]
enum Said {
    Deltas(Vec<Delta>),
    Finished(Vec<Block>, Vec<FoundCall>, Finish),
    Failed(ModelError),
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Continue),
        1 => Just(Verdict::Ask { reason: "why".into() }),
        1 => Just(Verdict::Deny { reason: "no".into() }),
        1 => value().prop_map(|value| Verdict::Result { value }),
    ];
    let tool = prop_oneof![3 => value().prop_map(Ok), 1 => Just(Err(ToolError::new("broken", "it broke")))];
    let ruling = prop_oneof![
        3 => Just(Ruling::Allow),
        1 => Just(Ruling::Ask("why".into())),
        1 => Just(Ruling::Deny("no".into())),
    ];
    let says = (amendment(), ruling, verdict, option::of(kept()));
    (said(), says, tool, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |(model, (amendment, ruling, verdict, kept), tool, emits, edited)| Outcome {
            model,
            amendment,
            ruling,
            verdict,
            kept,
            edited,
            tool,
            emits,
        },
    )
}

fn amendment() -> impl Strategy<Value = Result<Amendment, Problem>> {
    let changes = (option::of(text()), vec(text(), 0..3), option::of(text()), option::of(0..9u32));
    let amendment = changes
        .prop_map(|(system, notes, model, max_tokens)| Ok(Amendment { system, notes, model, max_tokens }));
    let failed = Problem { code: "hook_failed".into(), message: "a hook failed".into() };
    prop_oneof![5 => amendment, 1 => Just(Err(failed))]
}

fn kept() -> impl Strategy<Value = Kept> {
    (any::<u64>(), any::<bool>()).prop_map(|(bytes, whole)| Kept { bytes, whole })
}

fn said() -> impl Strategy<Value = Said> {
    let delta = || prop_oneof![text().prop_map(Delta::Text), text().prop_map(Delta::Thinking)];
    let block = prop_oneof![
        3 => text().prop_map(Block::text),
        1 => text().prop_map(|text| Block::Thinking { text }),
    ];
    let finish = select(vec![Finish::Stop, Finish::ToolCalls, Finish::Length]);
    prop_oneof![
        4 => vec(delta(), 0..4).prop_map(Said::Deltas),
        5 => (vec(block, 0..3), vec(found(), 0..5), finish).prop_map(|(b, c, f)| Said::Finished(b, c, f)),
        2 => (any::<bool>(), option::of(select(vec![0, 3_000, 200_000])), class())
            .prop_map(|(retryable, retry_after, class)| Said::Failed(ModelError {
                retryable,
                retry_after,
                ..ModelError::fatal(class, "scripted")
            })),
    ]
}

fn found() -> impl Strategy<Value = FoundCall> {
    (select(TOOLS.to_vec()), value(), prop::bool::weighted(0.1)).prop_map(|(name, input, invalid)| {
        let traits = ToolTraits {
            readonly: name == "reads",
            replayable: matches!(name, "reads" | "replays"),
            processes: name == "writes",
        };
        let known = name != "unknown";
        let problem = (invalid || !known).then(|| CallProblem {
            code: "invalid".into(),
            message: "it cannot run".into(),
            hint: None,
        });
        FoundCall { name: name.into(), input, traits: known.then_some(traits), problem }
    })
}

impl Outcome {
    pub(super) fn of(&self, key: EffectKey) -> Input {
        match key {
            EffectKey::Model { step, attempt } => self.model.of(step, attempt, self.edited),
            EffectKey::Compact { nth, attempt } => self.model.summary(nth, attempt),
            EffectKey::Prompt { step, messages } => {
                Input::PromptAmended { step, messages, outcome: self.amendment.clone() }
            }
            EffectKey::Policy { call, policy } => {
                Input::PolicyRuled { call, policy, ruling: self.ruling.clone() }
            }
            EffectKey::Hooks { call } => Input::HookAnswered { call, verdict: self.verdict.clone() },
            EffectKey::Tool { call, .. } if self.emits => {
                Input::ToolEmitted { call, event_type: "note".into(), data: Value::Null }
            }
            EffectKey::Tool { call, attempt } => {
                Input::ToolFinished { call, attempt, outcome: self.tool.clone(), kept: self.kept }
            }
            EffectKey::Job { job } if self.emits => {
                Input::JobTold { job, event_type: "note".into(), data: Value::Null }
            }
            EffectKey::Job { job } => Input::JobEnded { job, end: ProcessEnd::Exited { code: 1 } },
        }
    }
}

impl Said {
    fn of(&self, step: u32, attempt: u32, edited: bool) -> Input {
        match self.clone() {
            Self::Deltas(deltas) => Input::ModelDeltas { step, attempt, deltas },
            Self::Finished(content, calls, finish) => {
                let input_tokens = (step * 97 + attempt) as u64 % 1_200;
                let usage = Usage { input_tokens, ..Usage::default() };
                Input::ModelFinished { step, attempt, content, calls, finish, usage, edited }
            }
            Self::Failed(error) => Input::ModelFailed { step, attempt, error },
        }
    }
}

impl Said {
    /// The same as a summary: pieces alone are none.
    fn summary(&self, nth: u32, attempt: u32) -> Input {
        let usage = Usage::default();
        match self.clone() {
            Self::Deltas(_) => {
                Input::Summarised { nth, attempt, text: " ".into(), finish: Finish::Stop, usage }
            }
            Self::Finished(content, _, finish) => {
                let text = content.iter().filter_map(Block::as_text).collect();
                Input::Summarised { nth, attempt, text, finish, usage }
            }
            Self::Failed(error) => Input::SummaryFailed { nth, attempt, error },
        }
    }
}
