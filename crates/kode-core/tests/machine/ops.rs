//! Random lives: what may reach an agent from outside, valid or not, in any order.

mod outcome;

use kode_core::call::Decision;
use kode_core::fact::{IdempotencyKey, SendMode};
use kode_core::id::{CallId, JobId, MessageId, Millis, SnapshotId};
use kode_core::machine::{self, EffectKey, Input, Settlement};
use kode_core::message::Block;
use kode_core::sandbox::ProcessEnd;
use kode_core::template::{PermissionMode, Template};
use kode_core::todo::{Todo, TodoStatus};
use kode_core::tool::ToolError;
use kode_testkit::scenario::{Setup, Subject};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::Map;

use self::outcome::{Outcome, outcome};
use crate::values::value;

const TOOLS: [&str; 4] = ["reads", "writes", "replays", "unknown"];

/// One thing that happens to an agent. It is made into an input only when it comes to it, so that most
/// of them fit the state.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A message.
    Say { mode: SendMode, key: Option<u8>, body: u8 },
    /// Something comes of an effect that is wanted.
    Deliver { which: Index, what: Outcome },
    /// Something comes of an effect that is not.
    Stray { step: u32, attempt: u32, what: Outcome },
    /// A decision on a call that waits for one, or on any.
    Decide { which: Index, decision: Decision, stray: bool },
    /// A stop.
    Interrupt,
    /// A stopped effect is gone.
    Gone { which: Index },
    /// A running call starts a background job, or any call does.
    Job { which: Index, stray: bool },
    /// A background job is to be gone, or is, whether or not it is there.
    JobGoes { which: Index, how: Going },
    /// A todo list.
    Todos { ids: Vec<u8>, version: Option<u64> },
    /// A place gets a name, usable or not.
    Snapshot(&'static str),
    /// Time passes, and the machine is told or not.
    Time { ms: Millis, tick: bool },
    /// The time of the deadline comes.
    Deadline,
    /// The writer ends; the next one may have another template, and may leave it to the host what became of
    /// running calls.
    Crash { down: Millis, setup: Option<Setup>, strategy: machine::Strategy },
    /// The host's word on a call that waits for it, or on any.
    Settle { which: Index, outcome: Settlement, stray: bool },
}

/// How a background job goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Going {
    Killed,
    Gone,
    Ended,
}

/// What an agent is made of, and what happens to it.
pub(crate) fn life(most: usize) -> impl Strategy<Value = (Setup, Vec<Vec<Op>>)> {
    (setup(), vec(prop_oneof![6 => vec(op(), 1), 1 => vec(op(), 2..4)], 1..most))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (mode(), option::weighted(0.3, 0..4u8), 0..2u8).prop_map(|(mode, key, body)| Op::Say { mode, key, body }),
        30 => (any::<Index>(), outcome()).prop_map(|(which, what)| Op::Deliver { which, what }),
        3 => (0..6u32, 0..4u32, outcome()).prop_map(|(step, attempt, what)| Op::Stray { step, attempt, what }),
        6 => (any::<Index>(), decision(), prop::bool::weighted(0.2))
            .prop_map(|(which, decision, stray)| Op::Decide { which, decision, stray }),
        2 => Just(Op::Interrupt),
        3 => any::<Index>().prop_map(|which| Op::Gone { which }),
        4 => (any::<Index>(), prop::bool::weighted(0.2)).prop_map(|(which, stray)| Op::Job { which, stray }),
        4 => (any::<Index>(), select(vec![Going::Killed, Going::Gone, Going::Ended]))
            .prop_map(|(which, how)| Op::JobGoes { which, how }),
        1 => (vec(0..3u8, 0..3), option::of(0..3u64)).prop_map(|(ids, version)| Op::Todos { ids, version }),
        1 => select(vec!["a", "b", "7", ""]).prop_map(Op::Snapshot),
        4 => (select(vec![0, 1, 999, 5_000, 60_000, 90_000_000]), any::<bool>())
            .prop_map(|(ms, tick)| Op::Time { ms, tick }),
        3 => Just(Op::Deadline),
        2 => (select(vec![0, 10_000, 100_000_000]), option::weighted(0.3, setup()), strategy())
            .prop_map(|(down, setup, strategy)| Op::Crash { down, setup, strategy }),
        2 => (any::<Index>(), settlement(), prop::bool::weighted(0.2))
            .prop_map(|(which, outcome, stray)| Op::Settle { which, outcome, stray }),
    ]
}

fn mode() -> impl Strategy<Value = SendMode> {
    select(vec![SendMode::Queue, SendMode::Steer, SendMode::Interrupt, SendMode::Reject])
}

fn strategy() -> impl Strategy<Value = machine::Strategy> {
    select(vec![machine::Strategy::Crash, machine::Strategy::Manual])
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![
        value().prop_map(Settlement::Done),
        Just(Settlement::Failed(ToolError::new("broken", "it broke"))),
        Just(Settlement::Unknown),
    ]
}

fn decision() -> impl Strategy<Value = Decision> {
    select(vec![Decision::Allow, Decision::Deny])
}

fn setup() -> impl Strategy<Value = Setup> {
    let names = || subsequence(TOOLS.to_vec(), 0..=2);
    let modes =
        ["auto", "approval", "readonly", "own", "other"].map(|mode| PermissionMode::from(mode.to_owned()));
    let lists = (
        select(modes.to_vec()),
        names(),
        option::weighted(0.2, names()),
        names(),
        option::of(select(vec![0, 30])),
    );
    let bounds = (
        0..4usize,
        select(vec![0, 1, 3, 50]),
        select(vec![0, 30, 1_800, u64::MAX]),
        select(vec![0, 10, 120, u64::MAX]),
    );
    let context =
        (option::of(select(vec![0, 100, 400, 1_000])), option::of(select(vec![1, 3])), any::<bool>());
    (lists, bounds, context, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(lists, bounds, context, thinks, hooks, prompts)| {
            let mut template = Template::new("random", "");
            let own = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
            let (permission, limits) = (&mut template.permission, &mut template.limits);
            permission.mode = lists.0;
            permission.require_approval = own(lists.1);
            permission.allow = own(lists.2.unwrap_or_default());
            permission.deny = own(lists.3.into_iter().take(1).collect());
            permission.expire_secs = lists.4;
            (limits.parallel_tools, limits.max_steps) = (bounds.0, bounds.1);
            (limits.turn_secs, limits.tool_timeout_secs) = (bounds.2, bounds.3);
            template.expose_thinking = thinks;
            (template.context.window, template.todo.remind_on_start) = (context.0, context.2);
            (template.todo.enabled, template.todo.remind_every_steps) =
                (context.1.is_some(), context.1.unwrap_or(0));
            template.tools = kode_core::template::ToolSet::These(vec!["todo_write".into()]);
            Setup { template, hooks, prompt_hooks: prompts }
        },
    )
}

impl Op {
    /// The input that this is now; none where time alone passes or nothing fits.
    pub(crate) fn input(&self, subject: &Subject, nth: usize) -> Option<Input> {
        match self {
            Self::Say { mode, key, body } => Some(Input::Message {
                id: MessageId::new(format!("m{nth}")),
                content: vec![Block::text(format!("body {body}"))],
                mode: *mode,
                metadata: Map::new(),
                key: key.map(|k| IdempotencyKey { key: format!("k{k}"), digest: body.to_string() }),
                trace: None,
            }),
            Self::Deliver { which, what } => {
                let wanted: Vec<_> = subject.wanted().into_keys().collect();
                (!wanted.is_empty()).then(|| what.of(which.get(&wanted).clone()))
            }
            Self::Stray { step, attempt, what } => Some(what.of(stray(*step, *attempt))),
            Self::Decide { which, decision, stray } => {
                let calls = calls(subject, |c| *stray || c.undecided());
                let call = (!calls.is_empty()).then(|| which.get(&calls).0.clone())?;
                Some(Input::Decide { call, decision: *decision, by: "someone".into(), note: None })
            }
            Self::Interrupt => Some(Input::Interrupt { note: None, by: "someone".into() }),
            Self::Gone { which } => {
                let calls = calls(subject, |c| c.running());
                let (call, attempt) = (!calls.is_empty()).then(|| which.get(&calls).clone())?;
                Some(Input::EffectGone(EffectKey::Tool { call, attempt }))
            }
            Self::Job { which, stray } => {
                let calls = calls(subject, |c| *stray || c.running());
                let call = (!calls.is_empty()).then(|| which.get(&calls).0.clone())?;
                Some(Input::StartJob { call, line: "sleep 1".into() })
            }
            Self::JobGoes { which, how } => {
                let jobs = &subject.state().jobs;
                let job = (!jobs.is_empty()).then(|| which.get(jobs.as_slice()).id.clone())?;
                Some(how.of(job))
            }
            Self::Todos { ids, version } => Some(todos(ids, *version)),
            Self::Snapshot(label) => Some(Input::Snapshot { id: SnapshotId::new(*label) }),
            Self::Time { tick, .. } => tick.then_some(Input::Tick),
            Self::Deadline => Some(Input::Tick),
            Self::Crash { strategy, .. } => Some(Input::Open { strategy: *strategy }),
            Self::Settle { which, outcome, stray } => {
                let calls = calls(subject, |c| *stray || subject.state().is_unsettled(&c.call.id));
                let call = (!calls.is_empty()).then(|| which.get(&calls).0.clone())?;
                Some(Input::Settle { call, outcome: outcome.clone(), by: "someone".into() })
            }
        }
    }

    /// What happens around the machine before the input reaches it.
    pub(crate) fn prepare(&self, subject: &mut Subject) {
        match self {
            Self::Time { ms, .. } => subject.pass(*ms),
            Self::Deadline => {
                let until = subject.deadline().map_or(0, |at| at.saturating_sub(subject.now()));
                // The end of time is no time to go on from.
                subject.pass(if until < 1_000_000_000 { until } else { 0 });
            }
            Self::Crash { down, setup, .. } => {
                subject.crash(*down);
                if let Some(setup) = setup {
                    subject.set_up(setup.clone());
                }
            }
            Self::Say { .. }
            | Self::Deliver { .. }
            | Self::Stray { .. }
            | Self::Decide { .. }
            | Self::Interrupt
            | Self::Gone { .. }
            | Self::Job { .. }
            | Self::JobGoes { .. }
            | Self::Settle { .. }
            | Self::Todos { .. }
            | Self::Snapshot(_) => {}
        }
    }
}

impl Going {
    fn of(self, job: JobId) -> Input {
        match self {
            Self::Killed => Input::KillJob { job, by: "someone".into() },
            Self::Gone => Input::EffectGone(EffectKey::Job { job }),
            Self::Ended => Input::JobEnded { job, end: ProcessEnd::TimedOut },
        }
    }
}

fn stray(step: u32, attempt: u32) -> EffectKey {
    let call = CallId::of(step, 0);
    match (step + attempt) % 6 {
        4 => EffectKey::Prompt { step, messages: attempt as usize },
        5 => EffectKey::Policy { call, policy: "own".into() },
        0 => EffectKey::Model { step, attempt },
        3 => EffectKey::Compact { nth: step, attempt },
        1 => EffectKey::Hooks { call },
        _ => EffectKey::Tool { call, attempt },
    }
}

fn calls(subject: &Subject, fits: impl Fn(&kode_core::machine::OpenCall) -> bool) -> Vec<(CallId, u32)> {
    let calls = subject.state().round().into_iter().flat_map(|round| &round.calls);
    calls.filter(|c| fits(c)).map(|c| (c.call.id.clone(), c.attempt)).collect()
}

fn todos(ids: &[u8], version: Option<u64>) -> Input {
    let todo = |id: &u8| Todo {
        id: id.to_string(),
        title: "t".into(),
        status: if *id == 0 { TodoStatus::InProgress } else { TodoStatus::Pending },
        assignee: None,
        notes: None,
    };
    Input::SetTodos { todos: ids.iter().map(todo).collect(), version }
}
