//! Plays lines: each becomes inputs, as the driver and its live effects would make them.

use std::collections::BTreeMap;

use kode_core::fact::{CallProblem, IdempotencyKey};
use kode_core::id::{MessageId, SnapshotId, TemplateId};
use kode_core::lineage::NotForkable;
use kode_core::machine::{Delta, EffectKey, FoundCall, Input, Kept, ModelCall, Strategy};
use kode_core::message::{Block, Usage};
use kode_core::model::Finish;
use kode_core::tool::ToolTraits;
use serde_json::{Map, Value};

use super::script::{Asked, Attempt, Command, Finished, Gone, Line, Text};
use super::subject::Subject;
use super::template::Setup;
use super::{Beat, Played};

/// What every scripted answer costs.
const USAGE: Usage = Usage {
    input_tokens: 10,
    output_tokens: 5,
    total_tokens: 15,
    cached_tokens: 0,
    reasoning_tokens: 0,
    cost_micros: 0,
};

pub(super) fn play(lines: &[Line]) -> Played {
    let mut player = Player::new();
    let beats = lines.iter().map(|line| player.beat(line)).collect();
    Played { beats, subject: player.subject }
}

struct Player {
    /// The agent whose lines are played.
    subject: Subject,
    /// The others, by their names.
    others: BTreeMap<String, Subject>,
    forks: u32,
    tools: BTreeMap<String, ToolTraits>,
    messages: u32,
    /// The pieces of each agent's attempts, hidden ones too: what a live model call keeps.
    pieces: BTreeMap<(String, u32, u32), Vec<Block>>,
}

impl Player {
    fn new() -> Self {
        let changes = ToolTraits::default();
        let reads = ToolTraits { readonly: true, replayable: true, ..changes };
        let tools = [("fs_read", reads), ("fs_write", changes), ("bash_run", changes)];
        Self {
            subject: Subject::new(Setup::default()),
            others: BTreeMap::new(),
            forks: 0,
            tools: tools.map(|(name, traits)| (name.to_owned(), traits)).into(),
            messages: 0,
            pieces: BTreeMap::new(),
        }
    }

    fn beat(&mut self, line: &Line) -> Beat {
        self.subject.at(&line.text);
        let not_forkable = self.turn_to(&line.command).err();
        let inputs = self.inputs(&line.command);
        let forked = matches!(line.command, Command::Fork { .. }) && not_forkable.is_none();
        let before = if forked { 0 } else { self.subject.journal().len() };
        let refused = if inputs.is_empty() { None } else { self.subject.inputs(inputs).err() };
        let entries = self.subject.journal()[before..].to_vec();
        Beat {
            line: line.text.clone(),
            envelopes: entries.iter().flat_map(kode_core::machine::project).collect(),
            entries,
            refused,
            not_forkable,
            wanted: self.subject.wanted(),
            wakes: self.subject.deadline(),
            now: self.subject.now(),
            prompt: matches!(line.command, Command::Prompt).then(|| self.subject.prompt()),
        }
    }

    /// Goes over to the agent that the line speaks of.
    fn turn_to(&mut self, command: &Command) -> Result<(), NotForkable> {
        let next = match command {
            Command::Fork { at, name } => {
                self.forks += 1;
                let name = name.clone().unwrap_or_else(|| format!("fork{}", self.forks));
                self.subject.fork(&name, at)?
            }
            Command::Agent { name } => {
                let other = self.others.remove(name);
                other.unwrap_or_else(|| panic!("there is no other agent {name:?} in the scenario"))
            }
            _ => return Ok(()),
        };
        let last = std::mem::replace(&mut self.subject, next);
        self.others.insert(last.name().to_owned(), last);
        Ok(())
    }

    /// The inputs of a line; they make one batch.
    fn inputs(&mut self, command: &Command) -> Vec<Input> {
        match command.clone() {
            Command::Template(setup) => {
                self.subject.set_up(*setup);
                Vec::new()
            }
            Command::Tools(tools) => {
                self.tools.extend(tools);
                Vec::new()
            }
            Command::Open { strategy } => vec![Input::Open { strategy }],
            Command::Create => vec![self.create()],
            Command::Start => vec![Input::Open { strategy: Strategy::Crash }, self.create()],
            Command::Say { text, mode, key, id } => {
                let content = vec![Block::text(text.as_str())];
                let key = key.map(|key| IdempotencyKey { key, digest: format!("{text}/{mode:?}") });
                let id = id.map_or_else(|| self.next_message(), MessageId::new);
                vec![Input::Message { id, content, mode, metadata: Map::new(), key, trace: None }]
            }
            Command::Delta { attempt, delta } => vec![self.delta(attempt, delta)],
            Command::Answer { attempt, text, finish, calls } => self.answer(attempt, text, finish, calls),
            Command::Summary { attempt, text, finish } => {
                let (nth, attempt) = self.summary(attempt);
                vec![Input::Summarised { nth, attempt, text, finish, usage: USAGE }]
            }
            Command::NoSummary { attempt, error } => {
                let (nth, attempt) = self.summary(attempt);
                vec![Input::SummaryFailed { nth, attempt, error }]
            }
            Command::Amend(outcome) => {
                let (step, messages) = self.awaited();
                vec![Input::PromptAmended { step, messages, outcome }]
            }
            Command::Policy { call, policy, ruling } => {
                let named = self.subject.setup().template.permission.mode.name().to_owned();
                vec![Input::PolicyRuled { call, policy: policy.unwrap_or(named), ruling }]
            }
            Command::Fail { attempt, error } => {
                let (step, attempt) = self.attempt(attempt);
                vec![Input::ModelFailed { step, attempt, error }]
            }
            Command::Tool { call, attempt, outcome, kept } => {
                let attempt = attempt.unwrap_or_else(|| self.starts(&call));
                let kept = kept.map(|bytes| Kept { bytes, whole: whole(&outcome, bytes) });
                vec![Input::ToolFinished { call, attempt, outcome, kept }]
            }
            Command::Decide { call, decision, by, note } => vec![Input::Decide { call, decision, by, note }],
            Command::Hook { call, verdict } => vec![Input::HookAnswered { call, verdict }],
            Command::Emit { call, event_type, data } => vec![Input::ToolEmitted { call, event_type, data }],
            Command::Gone(gone) => vec![Input::EffectGone(self.gone(gone))],
            Command::Job { call, line } => vec![Input::StartJob { call, line }],
            Command::JobTold { job, event_type, data } => vec![Input::JobTold { job, event_type, data }],
            Command::JobEnded { job, end } => vec![Input::JobEnded { job, end }],
            Command::Kill { job, by } => vec![Input::KillJob { job, by }],
            Command::Interrupt { note, by } => vec![Input::Interrupt { note, by }],
            Command::Todos { version, todos } => vec![Input::SetTodos { todos, version }],
            Command::Wait(time) => {
                self.subject.pass(time);
                Vec::new()
            }
            Command::Advance(time) => {
                self.subject.pass(time);
                vec![Input::Tick]
            }
            Command::Crash { down, strategy } => {
                self.subject.crash(down);
                vec![Input::Open { strategy }]
            }
            Command::Settle { call, outcome, by } => vec![Input::Settle { call, outcome, by }],
            Command::Snapshot { label } => vec![Input::Snapshot { id: SnapshotId::new(label) }],
            Command::Prompt | Command::Fork { .. } | Command::Agent { .. } => Vec::new(),
        }
    }

    fn create(&self) -> Input {
        let template: TemplateId = self.subject.setup().template.id.clone();
        Input::Create { template, metadata: Map::new() }
    }

    fn next_message(&mut self) -> MessageId {
        self.messages += 1;
        MessageId::new(format!("m{}", self.messages))
    }

    /// The attempt that is meant: the one named, the one under way, or else the last one.
    fn attempt(&self, named: Attempt) -> (u32, u32) {
        let live = self.subject.state().model_call().map(|ModelCall { step, attempt, .. }| (*step, *attempt));
        named.or(live).unwrap_or((self.subject.state().steps.max(1), 1))
    }

    fn key(&self, step: u32, attempt: u32) -> (String, u32, u32) {
        (self.subject.name().to_owned(), step, attempt)
    }

    /// The attempt at a summary that is meant.
    fn summary(&self, named: Attempt) -> (u32, u32) {
        let live = self.subject.state().compaction().map(|c| (c.nth, c.attempt));
        named.or(live).unwrap_or((self.subject.state().context.begun.max(1), 1))
    }

    /// What an answer costs. Where the window counts, nothing is reported unless the line says so.
    fn usage(&self, used: Option<u64>) -> Usage {
        let counts = self.subject.setup().template.context.window.is_some();
        let input_tokens = used.unwrap_or(if counts { 0 } else { USAGE.input_tokens });
        Usage { input_tokens, total_tokens: input_tokens + USAGE.output_tokens, ..USAGE }
    }

    /// The request that hooks are asked about, or the one that they would be.
    fn awaited(&self) -> (u32, usize) {
        let keys = self.subject.wanted().into_keys();
        let mut prompt = keys.filter_map(|key| match key {
            EffectKey::Prompt { step, messages } => Some((step, messages)),
            EffectKey::Model { .. }
            | EffectKey::Compact { .. }
            | EffectKey::Policy { .. }
            | EffectKey::Hooks { .. }
            | EffectKey::Tool { .. }
            | EffectKey::Job { .. } => None,
        });
        let state = self.subject.state();
        prompt.next_back().unwrap_or((state.steps + 1, state.transcript.len()))
    }

    /// How often a call was started, so that its end names its last start.
    fn starts(&self, call: &kode_core::id::CallId) -> u32 {
        self.subject.state().open_call(call).map_or(1, |open| open.attempt.max(1))
    }

    fn gone(&self, gone: Gone) -> EffectKey {
        match gone {
            Gone::Tool(call) => EffectKey::Tool { attempt: self.starts(&call), call },
            Gone::Job(job) => EffectKey::Job { job },
            Gone::Model => {
                let (step, attempt) = self.attempt(None);
                EffectKey::Model { step, attempt }
            }
        }
    }

    fn delta(&mut self, attempt: Attempt, delta: Delta) -> Input {
        let (step, attempt) = self.attempt(attempt);
        let pieces = self.pieces.entry(self.key(step, attempt)).or_default();
        match (&delta, pieces.last_mut()) {
            (Delta::Text(piece), Some(Block::Text { text })) => text.push_str(piece),
            (Delta::Thinking(piece), Some(Block::Thinking { text })) => text.push_str(piece),
            (Delta::Text(piece), _) => pieces.push(Block::text(piece)),
            (Delta::Thinking(piece), _) => pieces.push(Block::Thinking { text: piece.clone() }),
        }
        Input::ModelDeltas { step, attempt, deltas: vec![delta] }
    }

    fn answer(
        &mut self,
        attempt: Attempt,
        text: Text,
        (finish, used): Finished,
        calls: Vec<Asked>,
    ) -> Vec<Input> {
        let last = text.last.map(|text| self.delta(attempt, Delta::Text(text)));
        let (step, attempt) = self.attempt(attempt);
        let natural = if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let finished = Input::ModelFinished {
            step,
            attempt,
            edited: text.edited.is_some(),
            content: match text.edited {
                Some(text) => vec![Block::text(text)],
                None => self.pieces.get(&self.key(step, attempt)).cloned().unwrap_or_default(),
            },
            calls: calls.into_iter().map(|asked| self.find(asked)).collect(),
            finish: finish.unwrap_or(natural),
            usage: self.usage(used),
        };
        last.into_iter().chain([finished]).collect()
    }

    /// Looks a call up, as a registry would.
    fn find(&self, asked: Asked) -> FoundCall {
        let traits = self.tools.get(&asked.tool).copied();
        let problem = |code: &str, message: String| CallProblem { code: code.into(), message, hint: None };
        let problem = match (traits, &asked.input, asked.invalid) {
            (None, _, _) => Some(problem("unknown_tool", format!("there is no tool {:?}", asked.tool))),
            (Some(_), _, Some(why)) => Some(problem("invalid_arguments", why)),
            (Some(_), Value::Object(_), None) => None,
            (Some(_), _, None) => Some(problem("invalid_json", "the arguments are no JSON object".into())),
        };
        FoundCall { name: asked.tool, input: asked.input, traits, problem }
    }
}

/// Whether so many bytes are all of a result.
fn whole(outcome: &Result<Value, kode_core::tool::ToolError>, bytes: u64) -> bool {
    outcome.as_ref().is_ok_and(|value| value.as_str().is_some_and(|text| text.len() as u64 == bytes))
}
