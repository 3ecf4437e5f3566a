//! Snapshots and forks over the shell: what is durable, what is live, and what a failure leaves.

use std::sync::Arc;

use bytes::Bytes;
use kode_core::event::{DoneReason, Event};
use kode_core::fact::Fact;
use kode_core::id::{AgentId, CallId, Cursor, Seq, SnapshotId, TemplateId};
use kode_core::lineage::{Ancestor, Files, ForkPoint, NotForkable};
use kode_core::machine::Rejected;
use kode_core::store::{After, BlobName, Blobs, Catalog, Journal, Leases, StoreError};
use kode_core::{CompletionStatus, ForkError, ForkSpec, ForkWorkspace, OpenError, Outgoing, SendError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, until_rest};

fn named(id: &str) -> ForkSpec {
    ForkSpec { agent: Some(AgentId::new(id).unwrap()), ..ForkSpec::default() }
}

fn at(point: ForkPoint) -> ForkSpec {
    ForkSpec { at: point, ..ForkSpec::default() }
}

fn says(text: &str) -> Script {
    Script::new().text(text)
}

#[tokio::test]
async fn a_fork_has_its_own_name_and_history_and_both_go_on() {
    let world = World::new([says("one"), says("the fork"), says("the parent")]);
    let parent = world.agent("user:1").await;
    parent.complete("first").await.unwrap();
    let label = parent.snapshot(Some("here")).await.unwrap();
    assert_eq!(label.id.as_str(), "here");

    let forked = parent.fork(ForkSpec::default()).await.unwrap();
    let fork = forked.agent;
    assert!(fork.id().is_under("user:1:fork") && fork.id() != parent.id(), "{}", fork.id());
    let (mine, theirs) = (fork.view(), parent.view());
    assert_eq!((mine.steps, mine.at_rest, mine.queued), (1, true, 0));
    assert_eq!(*mine.lineage, [Ancestor { agent_id: parent.id().clone(), seq: theirs.seq }]);
    assert_eq!(mine.transcript.iter().map(|m| m.text()).collect::<Vec<_>>(), ["first", "one"]);
    assert_eq!((mine.usage, mine.snapshots.len()), (Default::default(), 0), "its own cost and names");

    assert_eq!(fork.complete("and you?").await.unwrap().text, "the fork");
    assert_eq!(parent.complete("and you?").await.unwrap().text, "the parent");
    assert_eq!((fork.view().transcript.len(), parent.view().transcript.len()), (4, 4));
    assert_eq!(world.model.requests()[1].messages.len(), 3, "the model reads what was before");

    let listed = world.store.list("user:1", None, 10).await.unwrap();
    assert_eq!(listed, [parent.id().clone(), fork.id().clone()]);
    let first = world.runtime.subscription(fork.id(), Cursor::ZERO).next_ready().await.unwrap().unwrap();
    assert_eq!(first.event, Event::AgentForked { from: parent.id().clone(), at: theirs.seq });
    assert_eq!(world.runtime.lineage(fork.id()).await.unwrap(), Some(mine.lineage.to_vec()));
    assert_eq!(world.runtime.lineage(parent.id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_fork_is_one_append_and_needs_its_parent_no_more() {
    let world = World::new([says("one"), says("two"), says("three")]);
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    parent.complete("2").await.unwrap();
    let (before, history) = (world.store.head(parent.id()).await.unwrap(), parent.view().transcript.clone());
    let fork = parent.fork(named("b")).await.unwrap().agent;
    assert_eq!(world.store.head(parent.id()).await.unwrap(), before, "the parent is only read");
    let entries = world.store.read(fork.id(), After::Seq(Seq::ZERO), 100).await.unwrap();
    assert!(matches!(entries[0].fact, Fact::Opened { resumed: false, .. }));
    assert!(matches!(entries[1].fact, Fact::Forked { .. }));
    assert!(entries[2..].iter().all(|entry| matches!(entry.fact, Fact::Inherited { .. })));

    parent.delete().await.unwrap();
    fork.put_away(false).await;
    let again = world.agent("b").await;
    let texts = |messages: &kode_core::pages::Pages<kode_core::message::Message>| {
        messages.iter().map(|m| m.text()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&again.view().transcript), texts(&history));
    assert_eq!(again.complete("3").await.unwrap().text, "three");
}

#[tokio::test]
async fn snapshots_name_places_and_forks_find_them_after_a_restart() {
    let world = World::new([says("one"), says("two")]);
    let agent = world.agent("a").await;
    agent.complete("1").await.unwrap();
    let first = agent.snapshot(None).await.unwrap();
    agent.complete("2").await.unwrap();
    let second = agent.snapshot(Some("second")).await.unwrap();
    assert_eq!(agent.snapshots(), [first.clone(), second.clone()]);
    let taken = agent.snapshot(Some("second")).await;
    assert_eq!(taken, Err(SendError::Rejected(Rejected::SnapshotExists(second.id.clone()))));
    assert!(agent.put_away(false).await);

    let again = world.agent("a").await;
    assert_eq!(again.snapshots(), [first.clone(), second.clone()]);
    for (snapshot, messages) in [(first, 2), (second, 4)] {
        let forked = again.fork(at(ForkPoint::Snapshot(snapshot.id))).await.unwrap();
        assert_eq!((forked.from.seq, forked.agent.view().transcript.len()), (snapshot.seq, messages));
    }
    let unknown = SnapshotId::new("third");
    let refused = again.fork(at(ForkPoint::Snapshot(unknown.clone()))).await.err();
    assert_eq!(refused, Some(ForkError::NotForkable(NotForkable::UnknownSnapshot(unknown))));
}

#[tokio::test]
async fn an_agent_at_work_is_forked_where_no_call_was_open_and_does_not_notice() {
    let scripts = [
        Script::new().text("I look.").call("slow", json!({})),
        says("the fork"),
        says("seen"),
        says("and later"),
    ];
    let world = World::new(scripts);
    let parent = world.agent("a").await;
    let request = Outgoing { key: Some(key("k")), ..Outgoing::from("look") };
    let sent = parent.send(request).await.unwrap();
    world.gate.arrived().await;
    parent.send("later").await.unwrap();

    let forked = parent.fork(named("b")).await.unwrap();
    let fork = forked.agent.view();
    assert!(fork.at_rest && fork.queued == 0 && fork.approvals.is_empty());
    assert_eq!(fork.transcript.iter().map(|m| m.text()).collect::<Vec<_>>(), ["look"]);
    let beyond = parent.view().seq;
    let refused = parent.fork(at(ForkPoint::Seq(beyond))).await.err();
    let open = NotForkable::OpenCall { at: beyond, nearest: Some(forked.from.seq) };
    assert_eq!(refused, Some(ForkError::NotForkable(open)));

    // The key is the parent's: to the fork it is a new request.
    let again = Outgoing { key: Some(key("k")), ..Outgoing::from("look") };
    assert_eq!(forked.agent.complete(again).await.unwrap().text, "the fork");
    world.gate.open();
    let told = until_rest(&parent, sent.cursor).await;
    let reasons: Vec<_> = told
        .iter()
        .filter_map(|e| if let Event::Done { reason, .. } = &e.event { Some(*reason) } else { None })
        .collect();
    assert_eq!(reasons, [DoneReason::Completed; 2]);
}

fn key(key: &str) -> kode_core::fact::IdempotencyKey {
    kode_core::fact::IdempotencyKey { key: key.into(), digest: "same".into() }
}

#[tokio::test]
async fn every_entry_without_an_open_call_can_be_forked_at_with_and_without_a_checkpoint() {
    let scripts = (0..400).map(|_| Script::new().text("x").text("y"));
    let world = World::new(scripts);
    let agent = world.agent("a").await;
    for turn in 0..3 {
        agent.complete(format!("{turn}")).await.unwrap();
    }
    // Put away, it has a checkpoint at its end: places before it are folded from the beginning.
    assert!(agent.put_away(false).await);
    let head = world.store.head(&world.id("a")).await.unwrap().unwrap().seq;
    let mut last = 0;
    for seq in 2..=head.0 {
        let forked = world.runtime.fork(&world.id("a"), at(ForkPoint::Seq(Seq(seq)))).await.unwrap();
        let messages = forked.agent.view().transcript.len();
        assert!(messages >= last && messages <= 6, "{messages} messages at {seq}");
        last = messages;
    }
    assert_eq!(last, 6);
    let again = world.agent("a").await;
    again.complete("more").await.unwrap();
    let forked = again.fork(at(ForkPoint::Seq(head))).await.unwrap();
    assert_eq!(forked.agent.view().transcript.len(), 6);
}

#[tokio::test]
async fn refusals_leave_no_trace() {
    let world = World::new([says("one")]);
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    world.agent("taken").await;
    let refused = async |spec| parent.fork(spec).await.err().unwrap();

    assert_eq!(refused(named("taken")).await, ForkError::Exists(world.id("taken")));
    assert_eq!(refused(named("a")).await, ForkError::Exists(world.id("a")));
    let template = Some(TemplateId::new("nope"));
    let unknown = refused(ForkSpec { template, ..named("b") }).await;
    assert_eq!(unknown, ForkError::Open(OpenError::UnknownTemplate(TemplateId::new("nope"))));
    for seq in [0, 1] {
        let early = refused(at(ForkPoint::Seq(Seq(seq)))).await;
        assert_eq!(early, ForkError::NotForkable(NotForkable::TooEarly(Seq(seq))));
    }
    let future = refused(at(ForkPoint::Seq(Seq(999)))).await;
    assert!(matches!(future, ForkError::NotForkable(NotForkable::Future { .. })), "{future}");
    world.files.workspace(&world.id("left")).put("old", "a former agent's");
    assert_eq!(refused(named("left")).await, ForkError::FilesInTheWay(world.id("left")));
    let empty = ForkSpec { workspace: ForkWorkspace::Empty, ..named("left") };
    assert_eq!(refused(empty).await, ForkError::FilesInTheWay(world.id("left")));
    let nobody = world.runtime.fork(&world.id("nobody"), ForkSpec::default()).await.err();
    assert_eq!(nobody, Some(ForkError::Open(OpenError::NotFound(world.id("nobody")))));

    assert_eq!(world.store.list("", None, 10).await.unwrap(), [world.id("a"), world.id("taken")]);
    assert_eq!(world.files.copies(), Vec::<String>::new());
    assert_eq!(world.files.workspace(&world.id("left")).text("old").as_deref(), Some("a former agent's"));
}

#[tokio::test]
async fn files_are_copied_as_they_are_now_or_shared_or_left() {
    let world = World::new([says("one"), says("two")]);
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    let early = parent.view().seq;
    let files = world.files.workspace(parent.id());
    files.put("note", "later than the place of the fork");
    parent.complete("2").await.unwrap();

    let copy = parent.fork(ForkSpec { at: ForkPoint::Seq(early), ..named("copy") }).await.unwrap();
    assert_eq!(copy.copied.map(|c| (c.files, c.skipped)), Some((1, 0)));
    let empty = parent.fork(ForkSpec { workspace: ForkWorkspace::Empty, ..named("empty") }).await.unwrap();
    let shared = ForkSpec { workspace: ForkWorkspace::Shared, ..named("shared") };
    let shared = parent.fork(shared).await.unwrap();
    let of_shared = ForkSpec { workspace: ForkWorkspace::Shared, ..named("of-shared") };
    let of_shared = shared.agent.fork(of_shared).await.unwrap();
    let copy_of_shared = shared.agent.fork(named("copy-of-shared")).await.unwrap();
    files.put("note", "changed");

    let note = |id: &AgentId| world.files.workspace(id).text("note");
    assert_eq!(note(copy.agent.id()).as_deref(), Some("later than the place of the fork"));
    assert_eq!(note(copy_of_shared.agent.id()).as_deref(), Some("later than the place of the fork"));
    assert_eq!(note(empty.agent.id()), None);
    let owner = Files::Shared { owner: parent.id().clone() };
    assert_eq!((&shared.agent.view().files, &of_shared.agent.view().files), (&owner, &owner));
    assert_eq!((empty.copied, shared.copied), (None, None));
}

#[tokio::test]
async fn twenty_forks_at_once_are_twenty_agents() {
    let world = Arc::new(World::new((0..21).map(|_| says("here"))));
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    let forks = (0..20).map(|_| {
        let parent = parent.clone();
        tokio::spawn(async move { parent.fork(ForkSpec::default()).await.unwrap().agent })
    });
    let mut names = std::collections::BTreeSet::new();
    for fork in forks.collect::<Vec<_>>() {
        let fork = fork.await.unwrap();
        assert_eq!(
            fork.complete("hello").await.unwrap().status,
            CompletionStatus::Done(DoneReason::Completed)
        );
        names.insert(fork.id().clone());
    }
    assert_eq!(names.len(), 20);
    assert_eq!(parent.view().transcript.len(), 2);
}

/// G1 for forks: whatever the store does at any of its calls, there is a whole fork or none, the parent is as it
/// was, and a second try works.
#[tokio::test]
async fn g1_a_store_that_fails_anywhere_leaves_a_whole_fork_or_none() {
    for when in [When::Before, When::After] {
        for op in [Op::Append, Op::Acquire, Op::Read, Op::LoadCheckpoint] {
            for nth in 1..=6 {
                let world = World::new([says("one"), says("two")]);
                let parent = world.agent("a").await;
                parent.complete("1").await.unwrap();
                world.files.workspace(parent.id()).put("note", "x");
                let before = world.store.head(parent.id()).await.unwrap();
                world.faults.fail_nth(op, nth, when, StoreError::Unavailable("cut".into()));
                let first = parent.fork(named("b")).await;
                world.faults.mend();

                let there = world.runtime.look(&world.id("b")).await.unwrap();
                let place = format!("{op:?} {nth} {when:?}");
                assert!(first.is_err() || there.is_some(), "{place}: told of a fork that is none");
                if let Some(view) = &there {
                    assert_eq!((view.transcript.len(), view.at_rest), (2, true), "{place}");
                }
                match parent.fork(named("b")).await {
                    Ok(_) => assert!(there.is_none(), "{place}: forked twice under a name"),
                    Err(error) => {
                        assert_eq!(error, ForkError::Exists(world.id("b")), "{place}");
                        assert!(there.is_some(), "{place}");
                    }
                }
                let fork = world.agent("b").await;
                assert_eq!(fork.complete("2").await.unwrap().text, "two", "{place}");
                assert_eq!(world.files.workspace(fork.id()).text("note").as_deref(), Some("x"), "{place}");
                assert_eq!(world.store.head(parent.id()).await.unwrap(), before, "{place}");
                assert_eq!(world.files.copies(), Vec::<String>::new(), "{place}: a copy is left");
            }
        }
    }
}

/// What was too big for an entry is taken over with the call whose result it is, and needs the parent no more.
#[tokio::test]
async fn whole_results_beside_the_journal_are_taken_over() {
    let world = World::new([
        Script::new().call("slow", json!({})),
        says("seen"),
        Script::new().call("slow", json!({})),
        says("seen again"),
    ]);
    world.gate.open();
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    let early = parent.view().seq;
    parent.complete("2").await.unwrap();
    assert!(parent.put_away(false).await);
    let call = |step| BlobName::of_result(&CallId::of(step, 0)).unwrap();
    let lease = world.store.acquire(parent.id(), "test", 1_000, 1).await.unwrap();
    for step in [1, 3] {
        let whole = Bytes::from(format!("the whole of {step}"));
        world.store.put_blob(&lease, &call(step), &whole).await.unwrap();
    }
    world.store.delete(world.store.acquire(&world.id("b"), "test", 1_000, 1).await.unwrap()).await.unwrap();

    let spec = ForkSpec { at: ForkPoint::Seq(early), ..named("b") };
    let fork = world.runtime.fork(parent.id(), spec).await.unwrap().agent;
    world.runtime.remove(parent.id()).await.unwrap();
    let whole = async |step| {
        let part = world.store.read_blob(fork.id(), &call(step), 0, 100).await.unwrap();
        part.map(|part| String::from_utf8(part.bytes.to_vec()).unwrap())
    };
    assert_eq!(whole(1).await.as_deref(), Some("the whole of 1"));
    assert_eq!(whole(3).await, None, "that call is later than the fork");
    assert_eq!(fork.view().transcript.len(), 4);
}

/// A crash between the append and the copy's new name: the next writer finds the copy.
#[tokio::test]
async fn g1_a_fork_whose_process_died_before_its_copy_had_its_name_finds_it() {
    let world = World::new([says("one"), says("two")]);
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    world.files.workspace(parent.id()).put("note", "x");
    let fork = parent.fork(named("b")).await.unwrap().agent;
    let Files::Copied { ticket } = fork.view().files.clone() else { panic!("the default is a copy") };
    fork.put_away(false).await;
    world.files.unsettle(fork.id(), &ticket);
    assert_eq!(world.files.workspace(&world.id("c")).text("note"), None);

    let again = world.agent("b").await;
    assert_eq!(world.files.workspace(again.id()).text("note").as_deref(), Some("x"));
    assert_eq!(again.complete("2").await.unwrap().text, "two");
}

#[tokio::test]
async fn a_generated_name_is_below_the_parents_and_never_too_long() {
    let world = World::new([]);
    let name = |id: &str| world.runtime.name_fork(&AgentId::new(id).unwrap());
    let mut id = AgentId::new("user:1:session:s").unwrap();
    for _ in 0..50 {
        let next = world.runtime.name_fork(&id).unwrap();
        assert!(next.is_under("user:1:session:s") && next.as_str().len() <= 200, "{next}");
        id = next;
    }
    let long = "x".repeat(199);
    assert_eq!(name(&long), Err(ForkError::NoName(AgentId::new(&long).unwrap())));
    let other = format!("a:fork:b:{}", "x".repeat(185));
    assert_eq!(
        name(&other),
        Err(ForkError::NoName(AgentId::new(&other).unwrap())),
        "that is no fork's own name"
    );
}

/// The store that the fork is read from may be another process's by now: nothing but reads touches the parent.
#[tokio::test]
async fn g7_a_parent_that_cannot_be_taken_up_can_be_forked() {
    let world = World::new([says("one"), says("two")]);
    let parent = world.agent("a").await;
    parent.complete("1").await.unwrap();
    let other =
        World::over(world.store.clone(), kode_core::template::Template::new("other", ""), [says("new")]);
    let spec = ForkSpec { template: Some(TemplateId::new("other")), ..named("b") };
    let fork = other.runtime.fork(parent.id(), spec).await.unwrap().agent;
    assert_eq!(fork.complete("hello").await.unwrap().text, "new");
    assert_eq!(parent.complete("2").await.unwrap().text, "two", "it was not fenced off");
}
