//! Snapshots and forks: where an agent can be forked, what a fork takes over, and what stays behind.

use std::collections::BTreeSet;

use kode_core::event::Event;
use kode_core::fact::Fact;
use kode_core::id::{AgentId, CallId, MessageId, Seq, SnapshotId, TemplateId};
use kode_core::lineage::{Ancestor, Files, ForkPoint, NotForkable};
use kode_core::machine::{Heritage, Input, Origin, Rejected, State, project};
use kode_core::message::{Block, Message, Role};
use kode_testkit::rounds::cases;
use kode_testkit::scenario::{Scenario, Setup, Subject};
use proptest::prelude::*;
use serde_json::{Map, json};

use crate::check::check;
use crate::ops::life;
use crate::properties::{OPEN, live};
use crate::world::settle;

/// Scenario 33: another name, steps and lineage taken over, and both go on by themselves.
#[test]
fn a_fork_goes_on_by_itself() {
    check(
        "fork_goes_on_by_itself",
        r#"
        start
        todos [{"id":"1","title":"tea","status":"pending"}]
        say "read"
        answer "I look." ; calls fs_read{"path":"a"}
        tool call_1_0 ok "A"
        answer "It says A."
        snapshot "before the change"
        say "and now?"
        answer "Still A."
        fork at "before the change" as draft
        say "write it again"
        answer; calls fs_write{"path":"a"}
        tool call_3_0 ok "written"
        prompt
        answer "Written."
        agent scenario
        say "thanks"
        answer "Welcome."
        "#,
    );
}

/// What waits, what is under way and what clients may repeat is the parent's alone.
#[test]
fn queue_keys_approvals_and_the_run_stay_behind() {
    check(
        "fork_leaves_behind",
        r#"
        template ask fs_write
        start
        say "go" key k1
        answer; calls fs_write{"n":0}, fs_read{"n":1}
        tool call_1_1 ok 1
        say "later" key k2
        fork as other
        prompt
        decide call_1_0 allow
        say "go" key k1
        answer "I am at rest otherwise."
        agent scenario
        decide call_1_0 allow
        tool call_1_0 ok 0
        answer "done"
        answer "and later"
        "#,
    );
}

/// Without a place: the last one without an open call, also in the middle of an answer, of which nothing is
/// taken over.
#[test]
fn an_answer_that_is_being_written_stays_behind() {
    check(
        "fork_in_an_answer",
        r#"
        start
        say "count"
        delta "one, t"
        fork as other
        say "count again"
        answer "one, two"
        agent scenario
        delta "wo"
        answer
        "#,
    );
}

/// What the model reads in place of a long beginning is taken over too, and the whole history with it: the fork
/// condenses nothing a second time.
#[test]
fn a_fork_of_a_condensed_history_reads_what_its_parent_reads() {
    check(
        "fork_of_a_condensed_history",
        r#"
        template window 1000; max_tokens 100
        start
        say bytes 1200
        answer bytes 1200
        say bytes 800
        summary "They want a report."
        answer "here it is"
        prompt
        fork as other
        prompt
        say "thanks"
        prompt
        answer "you are welcome"
        "#,
    );
}

/// A place in the middle of a batch is a place like any other, and refusals name the one to take instead.
#[test]
fn places_with_an_open_call_or_without_an_agent_are_refused() {
    check(
        "fork_refused",
        r#"
        start
        fork at 1
        fork at 0
        fork at 3
        fork at "never"
        say "go"
        answer; calls fs_read{"n":0}, fs_read{"n":1}
        fork at 5
        agent scenario
        fork at 6
        tool call_1_0 ok 0
        fork at 9
        tool call_1_1 ok 1
        fork at 10
        agent scenario
        fork at 99
        "#,
    );
}

#[test]
fn a_snapshot_has_a_name_of_its_own() {
    check(
        "snapshot_names",
        r#"
        open
        snapshot "too early"
        create
        snapshot "a"
        snapshot "a"
        snapshot " "
        snapshot "17"
        snapshot "two\nlines"
        say "go"
        answer; calls fs_read{}
        snapshot "in a call"
        tool call_1_0 ok null
        answer "ok"
        crash
        snapshot "in a call"
        fork at "in a call"
        snapshot "a"
        "#,
    );
}

/// A name may have 200 bytes and no more.
#[test]
fn g10_a_snapshots_name_is_bounded() {
    let mut subject = Scenario::parse("start").unwrap().play().subject;
    for (bytes, fits) in [(200, true), (201, false), (5_000, false)] {
        let named = subject.input(Input::Snapshot { id: SnapshotId::new("n".repeat(bytes)) });
        assert_eq!(named.is_ok(), fits, "{bytes} bytes: {named:?}");
    }
}

/// A fork of a fork knows them all, in their order.
#[test]
fn lineage_grows_with_each_fork_and_keeps_the_newest() {
    let played = Scenario::parse("start\nsay \"hello\"\nanswer \"hi\"\nfork as b\nfork as c").unwrap().play();
    let ancestor = |agent: &str, seq| Ancestor { agent_id: AgentId::new(agent).unwrap(), seq: Seq(seq) };
    assert_eq!(*played.subject.state().lineage, [ancestor("scenario", 9), ancestor("b", 4)]);

    let mut line = played.subject;
    for nth in 0..80 {
        line = line.fork(&format!("d{nth}"), &ForkPoint::Last).unwrap();
    }
    let lineage = &line.state().lineage;
    assert_eq!((lineage.len(), lineage.last().unwrap().agent_id.as_str()), (65, "d78"));
}

/// G10: however long a history is, no entry of a fork is.
#[test]
fn g10_a_long_history_is_taken_over_in_pages() {
    let say = |nth: usize| message(nth, Role::User, vec![Block::text(format!("{nth}").repeat(2_000))]);
    let heritage = Heritage { messages: (0..1_000).map(say).collect(), ..Heritage::default() };
    let mut subject = Subject::new(Setup::default());
    let batch =
        subject.inputs([OPEN, Input::Fork(Box::new(origin())), Input::Inherit(Box::new(heritage))]).unwrap();
    let largest = batch.entries.iter().map(|e| serde_json::to_string(e).unwrap().len()).max().unwrap();
    assert!(largest < 300 * 1024, "an entry of {largest} bytes");
    let ids: Vec<&str> = subject.state().transcript.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids, (0..1_000).map(|nth| format!("m{nth}")).collect::<Vec<_>>());
    assert!(subject.state().transcript.iter().is_sorted_by_key(|m| m.seq));
}

/// G10: nor has one entry of a fork more than 256 messages, however short they are.
#[test]
fn g10_many_short_messages_are_taken_over_in_pages() {
    let say = |nth: usize| message(nth, Role::User, vec![Block::text("hm")]);
    let heritage = Heritage { messages: (0..600).map(say).collect(), ..Heritage::default() };
    let mut subject = Subject::new(Setup::default());
    let batch =
        subject.inputs([OPEN, Input::Fork(Box::new(origin())), Input::Inherit(Box::new(heritage))]).unwrap();
    let messages = batch.entries.iter().filter_map(|entry| match &entry.fact {
        Fact::Inherited { messages, .. } if !messages.is_empty() => Some(messages.len()),
        _ => None,
    });
    assert_eq!(messages.collect::<Vec<_>>(), [256, 256, 88]);
}

/// The border of two pages never parts a call from its result, so a fork can be forked at each of its entries.
#[test]
fn g2_a_page_ends_behind_the_results_of_its_calls() {
    let call = |nth: usize| Block::ToolUse {
        id: CallId::new(format!("c{nth}")),
        name: "t".into(),
        input: json!({ "content": "x".repeat(nth * 7_919 % 50_000) }),
    };
    let result = |nth: usize| Block::ToolResult {
        id: CallId::new(format!("c{nth}")),
        content: "y".repeat(1 + nth * 104_729 % 60_000),
        is_error: false,
    };
    let pair =
        |nth| [message(nth, Role::Assistant, vec![call(nth)]), message(nth, Role::User, vec![result(nth)])];
    let heritage = Heritage { messages: (0..100).flat_map(pair).collect(), ..Heritage::default() };
    let mut subject = Subject::new(Setup::default());
    let batch =
        subject.inputs([OPEN, Input::Fork(Box::new(origin())), Input::Inherit(Box::new(heritage))]).unwrap();
    assert!(batch.entries.len() > 10, "{} entries", batch.entries.len());
    for entry in &batch.entries[1..] {
        let fork = subject.fork("fork", &ForkPoint::Seq(entry.seq)).unwrap();
        assert_eq!(fork.state().transcript.len() % 2, 0, "at {}", entry.seq);
    }
}

/// G2 for histories from elsewhere: what a model would not take is not taken over.
#[test]
fn g2_a_history_with_a_call_without_its_result_is_refused() {
    let call = |id: &str| Block::ToolUse { id: CallId::new(id), name: "t".into(), input: json!({}) };
    let result = |id: &str| Block::ToolResult { id: CallId::new(id), content: "A".into(), is_error: false };
    let said = |nth, role, block| message(nth, role, vec![block]);
    let bad = [
        vec![said(0, Role::Assistant, call("a"))],
        vec![said(0, Role::Assistant, call("a")), said(1, Role::User, Block::text("no result"))],
        vec![said(0, Role::Assistant, call("a")), said(1, Role::User, result("b"))],
        vec![said(0, Role::User, result("a"))],
        vec![said(0, Role::User, call("a")), said(1, Role::User, result("a"))],
        vec![said(0, Role::Assistant, call("a")), said(1, Role::Assistant, result("a"))],
        vec![message(0, Role::User, Vec::new())],
    ];
    let mut subject = Subject::new(Setup::default());
    let _ = subject.inputs([OPEN, Input::Fork(Box::new(origin()))]).unwrap();
    for messages in bad {
        let heritage = Heritage { messages: messages.clone(), ..Heritage::default() };
        let refused = subject.input(Input::Inherit(Box::new(heritage)));
        assert!(matches!(refused, Err(Rejected::BadHistory(_))), "{messages:?}: {refused:?}");
    }
    let good = vec![said(0, Role::Assistant, call("a")), said(1, Role::User, result("a"))];
    let heritage = Heritage { messages: good, steps: 7, ..Heritage::default() };
    let _ = subject.input(Input::Inherit(Box::new(heritage.clone()))).unwrap();
    let again = subject.input(Input::Inherit(Box::new(heritage)));
    assert_eq!(again, Err(Rejected::HasHistory));
    assert_eq!(subject.input(Input::Fork(Box::new(origin()))), Err(Rejected::Exists(TemplateId::new("t"))));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases("forks at every place of a life", 40, 800),
        ..ProptestConfig::default()
    })]

    /// Every place at which no call is open, by the events that were told, can be forked at; no other can, and
    /// what is named instead can. Each fork keeps every invariant and comes to rest.
    #[test]
    fn every_place_without_an_open_call_can_be_forked_at((setup, ops) in life(30)) {
        let subject = live(setup, &ops);
        let (mut open, mut exists) = (BTreeSet::new(), false);
        for entry in subject.journal() {
            for envelope in project(entry) {
                match envelope.event {
                    Event::AgentCreated { .. } => exists = true,
                    Event::ToolStart { call } => drop(open.insert(call.id)),
                    Event::ToolEnd { call } => drop(open.remove(&call.id)),
                    _ => {}
                }
            }
            match subject.fork("fork", &ForkPoint::Seq(entry.seq)) {
                Ok(fork) => {
                    prop_assert!(exists && open.is_empty(), "forked at {} with {open:?}", entry.seq);
                    go_on(fork);
                }
                Err(NotForkable::TooEarly(_)) => prop_assert!(!exists),
                Err(NotForkable::OpenCall { nearest, .. }) => {
                    prop_assert!(!open.is_empty());
                    let instead = nearest.expect("an agent that exists could be forked before its first call");
                    prop_assert!(subject.fork("fork", &ForkPoint::Seq(instead)).is_ok());
                    let next = subject.fork("fork", &ForkPoint::Seq(instead.next()));
                    prop_assert!(next.is_err(), "{instead} is not the nearest");
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(subject.fork("fork", &ForkPoint::Last).is_ok());
        for named in subject.state().snapshots.iter() {
            prop_assert!(subject.fork("fork", &ForkPoint::Snapshot(named.id.clone())).is_ok(), "{named:?}");
        }
    }
}

/// A fork at rest takes a message and comes to rest again.
fn go_on(mut fork: Subject) {
    assert!(fork.state().at_rest() && fork.state().keys.is_empty(), "a fork begins at rest");
    let content = vec![Block::text("go on")];
    let id = MessageId::new("first");
    let mode = kode_core::fact::SendMode::Queue;
    let message = Input::Message { id, content, mode, metadata: Map::new(), key: None, trace: None };
    let _ = fork.input(message).expect("a fork takes messages");
    fork.crash(0);
    let _ = fork.input(OPEN).expect("a writer opens what it found");
    settle(&mut fork);
}

fn origin() -> Origin {
    Origin {
        from: AgentId::new("elsewhere").expect("it keeps the rules of agent ids"),
        at: Seq(9),
        ancestors: Vec::new(),
        template: TemplateId::new("t"),
        metadata: Map::new(),
        files: Files::Own,
    }
}

fn message(nth: usize, role: Role, content: Vec<Block>) -> Message {
    Message {
        id: MessageId::new(format!("m{nth}")),
        role,
        content,
        created_at: 1,
        seq: Seq(500),
        interrupted: false,
        metadata: Map::new(),
    }
}

/// The state that a checkpoint of an older version would give knows no fork points, and is none the worse.
#[test]
fn g12_states_without_lineage_read_as_before() {
    let mut old = serde_json::to_value(State::default()).unwrap();
    for field in ["lineage", "files", "snapshots"] {
        old.as_object_mut().unwrap().remove(field).unwrap();
    }
    assert_eq!(serde_json::from_value::<State>(old).unwrap(), State::default());
}
