//! Properties of the context: for histories and windows of all sizes, in both scripts, with failures, crashes
//! and interrupts in between. [`Subject`] checks at each step that what the model is sent is valid and holds the
//! newest request as it was made; here is what a compaction must win.

use kode_core::fact::{Compacted, CondensedBy, Entry, Fact, SendMode};
use kode_core::id::MessageId;
use kode_core::machine::{EffectKey, FoundCall, Input, Prompt, Strategy as ResumeBy};
use kode_core::message::{Block, Role, Usage};
use kode_core::model::{ErrorClass, Finish, ModelError};
use kode_core::todo::{Todo, TodoStatus};
use kode_core::tool::ToolTraits;
use kode_testkit::rounds::cases;
use kode_testkit::scenario::{Setup, Subject};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Map, Value, json};

use crate::world::settle;

/// The shortest bound of a result, with its note; and with as much again for a second result of the round, which the
/// note would make longer than it was, so that to cut both wins nothing.
const SHORTEST: usize = 256 + 2 * 64;

/// One thing that happens to an agent with a long history.
#[derive(Debug, Clone)]
struct Move {
    /// Bytes of what is said next, by whoever's turn it is.
    size: usize,
    /// In Chinese.
    chinese: bool,
    /// Calls that the model asks for, where it is the model's turn.
    calls: usize,
    /// What the provider reports, in percent of four bytes a token; nothing, if absent.
    reports: Option<u64>,
    what: What,
}

/// What is special about it.
#[derive(Debug, Clone)]
enum What {
    Usual,
    Steers,
    Overflows,
    NoSummary(ErrorClass),
    LongSummary,
    Crashes,
    Interrupts,
    Lists(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let what = prop_oneof![
        12 => Just(What::Usual),
        2 => Just(What::Steers),
        1 => Just(What::Overflows),
        1 => select(vec![ErrorClass::Auth, ErrorClass::Network]).prop_map(What::NoSummary),
        1 => Just(What::LongSummary),
        1 => Just(What::Crashes),
        1 => Just(What::Interrupts),
        1 => (0..4usize).prop_map(What::Lists),
    ];
    let size = prop_oneof![4 => 0..400usize, 2 => 400..4_000usize, 1 => 4_000..30_000usize];
    let reports = option::weighted(0.5, select(vec![20, 80, 100, 150, 900]));
    let one = (size, any::<bool>(), 0..3usize, reports, what)
        .prop_map(|(size, chinese, calls, reports, what)| Move { size, chinese, calls, reports, what });
    vec(one, 1..40)
}

fn setup() -> impl Strategy<Value = Setup> {
    let windows = option::weighted(0.9, select(vec![0, 300, 1_000, 4_000, 32_000]));
    (windows, select(vec![1, 100, 4_096]), option::weighted(0.3, 1..3u32)).prop_map(
        |(window, max, remind)| {
            let mut setup = Setup::default();
            setup.template.context.window = window;
            (setup.template.limits.max_tokens, setup.template.limits.max_steps) = (max, u32::MAX);
            (setup.template.todo.enabled, setup.template.todo.remind_every_steps) =
                (remind.is_some(), remind.unwrap_or(0));
            setup
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases("long histories", 40, 1_000),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/context.txt"))),
        ..ProptestConfig::default()
    })]

    /// Scenario 37: never a pair apart, never without the request, below the limit, not at each step.
    #[test]
    fn g2_any_history_is_condensed_into_a_valid_shorter_prompt((setup, moves) in (setup(), moves())) {
        let mut subject = Subject::new(setup);
        let _ = subject.inputs([Input::Open { strategy: ResumeBy::Crash }, create()]).expect("a new agent is created");
        for (nth, made) in moves.iter().enumerate() {
            subject.at(format!("move {nth}, {made:?}"));
            let before = subject.journal().len();
            play(&mut subject, nth, made);
            let made = &subject.journal()[before..];
            if let Some(Entry { fact, .. }) = made.iter().rev().find(|e| matches!(e.fact, Fact::Compacted(_))) {
                let steers_on = subject.wanted().keys().any(|key| matches!(key, EffectKey::Model { .. }));
                if steers_on {
                    check_condensed(&subject, fact, &subject.prompt());
                }
            }
        }
        settle(&mut subject);
        each_has_a_reason(subject.journal());
    }
}

fn create() -> Input {
    Input::Create { template: kode_core::id::TemplateId::new("long"), metadata: Map::new() }
}

fn text(of: &Move) -> String {
    if of.chinese { "很长的历史".repeat(of.size / 15) } else { "a long history, ".repeat(of.size / 16) }
}

/// The move that fits what is waited for now.
fn play(subject: &mut Subject, nth: usize, made: &Move) {
    let wanted = subject.wanted().into_keys().next();
    let says = |mode| Input::Message {
        id: MessageId::new(format!("m{nth}")),
        content: vec![Block::text(format!("request {nth}: {}", text(made)))],
        mode,
        metadata: Map::new(),
        key: None,
        trace: None,
    };
    let input = match (&made.what, wanted) {
        (What::Crashes, _) => {
            subject.crash(1_000);
            Input::Open { strategy: ResumeBy::Crash }
        }
        (What::Lists(count), _) => Input::SetTodos { todos: (0..*count).map(todo).collect(), version: None },
        (What::Steers, _) => says(SendMode::Steer),
        (What::Interrupts, Some(_)) => Input::Interrupt { note: None, by: "someone".into() },
        (_, None) if subject.state().at_rest() => says(SendMode::Queue),
        (_, None) => {
            let until = subject.deadline().map_or(0, |at| at.saturating_sub(subject.now()));
            subject.pass(until);
            Input::Tick
        }
        (What::Overflows, Some(EffectKey::Model { step, attempt })) => {
            let error = ModelError::fatal(ErrorClass::ContextOverflow, "too long");
            Input::ModelFailed { step, attempt, error }
        }
        (what, Some(key)) => answer(made, what, key),
    };
    // Refusals are part of life; that they change nothing is checked by the subject.
    let _ = subject.input(input);
}

fn answer(made: &Move, what: &What, key: EffectKey) -> Input {
    let input_tokens = made.reports.map_or(0, |percent| (made.size as u64 / 4 + 40) * percent / 100);
    let usage = Usage { input_tokens, ..Usage::default() };
    match key {
        EffectKey::Model { step, attempt } => {
            let call = |n| FoundCall {
                name: "reads".into(),
                input: json!({ "n": n }),
                traits: Some(ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE }),
                problem: None,
            };
            let (content, calls) =
                (vec![Block::text(format!("so: {}", text(made)))], (0..made.calls).map(call).collect());
            Input::ModelFinished { step, attempt, content, calls, finish: Finish::Stop, usage, edited: false }
        }
        EffectKey::Compact { nth, attempt } => match what {
            What::NoSummary(class) => {
                let retryable = *class == ErrorClass::Network;
                let error = ModelError { retryable, ..ModelError::fatal(*class, "no summary") };
                Input::SummaryFailed { nth, attempt, error }
            }
            What::LongSummary => {
                Input::Summarised { nth, attempt, text: "long ".repeat(60_000), finish: Finish::Stop, usage }
            }
            What::Usual
            | What::Steers
            | What::Overflows
            | What::Crashes
            | What::Interrupts
            | What::Lists(_) => {
                Input::Summarised { nth, attempt, text: "They talked.".into(), finish: Finish::Stop, usage }
            }
        },
        EffectKey::Tool { call, attempt } => Input::ToolFinished {
            call,
            attempt,
            outcome: Ok(Value::from(format!("it says: {}", text(made)))),
            kept: None,
        },
        other => panic!("this agent has no hooks: {other:?}"),
    }
}

fn todo(n: usize) -> Todo {
    let status = [TodoStatus::InProgress, TodoStatus::Pending, TodoStatus::Completed][n % 3];
    Todo { id: format!("t{n}"), title: format!("errand {n}"), status, assignee: None, notes: None }
}

/// What a compaction must win, seen from outside.
fn check_condensed(subject: &Subject, fact: &Fact, prompt: &Prompt) {
    let Fact::Compacted(compacted) = fact else { return };
    let Compacted { plan, by, before, after, summary, .. } = &**compacted;
    assert!(after < before, "nothing was won: {fact:?}");
    assert_eq!(plan.room > 0, *by != CondensedBy::Cut, "a summary has room and a cut has none: {fact:?}");
    assert_eq!(plan.room > 0, !summary.is_empty());
    if plan.room > 0 {
        let first = prompt.messages.get(0).map(|m| m.text()).unwrap_or_default();
        let open = subject.state().todos.todos.iter().filter(|t| t.status != TodoStatus::Completed);
        assert!(first.contains(summary.as_str()), "the summary leads the prompt");
        open.for_each(|todo| assert!(first.contains(&todo.title), "{} was lost: {first}", todo.title));
    }
    let Some(window) = subject.setup().template.context.window else { return };
    if *after * 10 <= u64::from(window) * 8 || plan.room == 0 {
        return;
    }
    // It is over the threshold still: then what is left is what must stay, as short as it gets.
    let tail: Vec<_> = subject.state().transcript.iter_from(plan.up_to).collect();
    let rounds = tail.iter().filter(|m| m.role == Role::Assistant).count();
    assert!(rounds <= 1, "{after} of {window} tokens, and {rounds} answers are kept: {fact:?}");
    let results = prompt.messages.iter().flat_map(|m| &m.content).filter_map(|block| match block {
        Block::ToolResult { content, .. } => Some(content.len()),
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolUse { .. } => None,
    });
    let longest = results.max().unwrap_or_default();
    let edge =
        u64::from(window) - u64::from(subject.setup().template.limits.max_tokens).min(u64::from(window) / 2);
    assert!(
        *after <= edge || longest <= SHORTEST,
        "{after} of {window} tokens with a result of {longest} bytes"
    );
}

/// Between two compactions the history grew, or the provider refused what the first one left.
fn each_has_a_reason(journal: &[Entry]) {
    let mut reason = true;
    for Entry { seq, fact, .. } in journal {
        match fact {
            Fact::Compacted(_) => {
                assert!(reason, "entry {seq} condenses again what had just been condensed");
                reason = false;
            }
            Fact::ModelFailed { compact: true, .. }
            | Fact::TurnStarted { .. }
            | Fact::Steered { .. }
            | Fact::ModelAnswered { .. }
            | Fact::StepEnded { .. }
            | Fact::TodoReminded { .. } => reason = true,
            _ => {}
        }
    }
}
