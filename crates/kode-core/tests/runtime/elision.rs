//! What a checkpoint covers is elided: what is told then, and what is not.

use std::sync::Arc;

use kode_core::AgentSpec;
use kode_core::event::{Envelope, Event};
use kode_core::fact::{Entry, Fact};
use kode_core::id::{Cursor, Seq};
use kode_core::machine::State;
use kode_core::store::{After, Checkpoints, Journal, Leases, StoreError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;

use crate::world::World;

const TURNS: usize = 220;

fn script(n: usize) -> Script {
    let text = Script::new().thinking("hm").thinking(" so");
    (0..6).fold(text, |script, piece| script.text(format!("{n} {piece} ")))
}

fn world() -> World {
    World::new((0..TURNS).map(script))
}

fn is_piece(envelope: &Envelope) -> bool {
    matches!(envelope.event, Event::TextChunk { .. } | Event::ThinkChunk { .. })
}

#[tokio::test]
async fn g4_a_replay_over_elided_answers_tells_all_but_their_pieces() {
    let world = world();
    let agent = world.agent("a").await;
    for _ in 0..TURNS {
        agent.complete("go on").await.unwrap();
    }
    // Everything, as it was told live: the hub's head is at the end, the rest was read before it was elided.
    let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
    let elided = entries.iter().filter(|e| matches!(e.fact, Fact::Elided { .. })).count();
    assert!(elided > TURNS / 3, "only {elided} answers are elided");
    let replayed = until_rest_of(&world, TURNS).await;
    for cursor in replayed.iter().map(|e| e.cursor).step_by(97) {
        let mut behind = world.runtime.subscription(agent.id(), cursor);
        let next = behind.next_ready().await.unwrap();
        assert_eq!(next.as_ref(), replayed.iter().find(|e| e.cursor > cursor), "after {cursor}");
    }
    // Starts and ends pair, each text is whole, and nothing is told that would begin a block twice.
    let texts = replayed.iter().filter_map(|e| match &e.event {
        Event::TextChunkEnd { text, .. } => Some(text.clone()),
        _ => None,
    });
    let said = |n: usize| (0..6).map(|piece| format!("{n} {piece} ")).collect::<String>();
    assert_eq!(texts.collect::<Vec<_>>(), (0..TURNS).map(said).collect::<Vec<_>>());
    let starts = replayed.iter().filter(|e| matches!(e.event, Event::TextChunkStart { .. })).count();
    assert_eq!(starts, TURNS);
    assert!(replayed.iter().filter(|e| is_piece(e)).count() < TURNS * 8);
}

async fn until_rest_of(world: &World, turns: usize) -> Vec<Arc<Envelope>> {
    let mut reader = world.runtime.subscription(&world.id("a"), Cursor::ZERO);
    let (mut told, mut done) = (Vec::new(), 0);
    while done < turns {
        let envelope = reader.next().await.unwrap().unwrap();
        done += usize::from(matches!(envelope.event, Event::Done { .. }));
        told.push(envelope);
    }
    told
}

#[tokio::test]
async fn g12_an_elided_journal_folds_to_the_same_state() {
    let world = world();
    let agent = world.agent("a").await;
    for _ in 0..TURNS {
        agent.complete("go on").await.unwrap();
    }
    let mut folded = State::default();
    let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
    assert!(entries.iter().any(|e| matches!(e.fact, Fact::Elided { .. })));
    entries.iter().for_each(|entry| folded.evolve(entry));
    let (loaded, covered) = world.runtime.load(agent.id()).await.unwrap();
    assert!(covered > Seq::ZERO && world.store.load_checkpoint(agent.id()).await.unwrap().is_some());
    assert_eq!(loaded, folded);
}

/// Though it was the tail behind it that was asked for first.
#[tokio::test]
async fn a_checkpoint_of_another_version_is_passed_over_and_all_entries_are_folded() {
    let world = world();
    let agent = world.agent("a").await;
    for _ in 0..TURNS {
        agent.complete("go on").await.unwrap();
    }
    agent.put_away(true).await;
    let (loaded, covered) = world.runtime.load(agent.id()).await.unwrap();
    assert!(covered > Seq::ZERO);
    let lease = world.store.acquire(agent.id(), "later", 60_000, loaded.updated_at).await.unwrap();
    let mut checkpoint = world.store.load_checkpoint(agent.id()).await.unwrap().unwrap();
    checkpoint.files.insert("metadata.json".into(), r#"{"format":99,"state":{}}"#.into());
    world.store.save_checkpoint(&lease, &checkpoint).await.unwrap();
    assert_eq!(world.runtime.load(agent.id()).await.unwrap(), (loaded, Seq::ZERO));
}

/// The agent goes on: what was not elided is only longer.
#[tokio::test]
async fn a_store_that_does_not_elide_costs_no_turn() {
    let world = world();
    world.faults.fail_all(Op::Elide, When::Before, StoreError::Full("no space left".into()));
    let agent = world.agent("a").await;
    for _ in 0..TURNS {
        agent.complete("go on").await.unwrap();
    }
    let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
    assert!(entries.iter().all(|e| !matches!(e.fact, Fact::Elided { .. })));
    world.faults.mend();
    agent.put_away(false).await;
    let again = world.runtime.resume_or_create(&world.id("a"), AgentSpec::default()).await.unwrap().agent;
    assert_eq!(again.view().transcript.len(), TURNS * 2);
}

/// With a retention nothing but state is kept of what is too old; without one, everything that a person reads.
#[tokio::test]
async fn what_is_forgotten_leaves_no_events_and_the_same_state() {
    let world = World::forgetting(1_000, (0..TURNS).map(script));
    let agent = world.agent("a").await;
    for _ in 0..TURNS {
        agent.complete("go on").await.unwrap();
        world.clock.advance(100);
    }
    let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
    let kept = |entry: &Entry| match &entry.fact {
        Fact::Elided { kept, .. } => Some(kept.len()),
        _ => None,
    };
    assert!(entries.iter().filter_map(kept).filter(|kept| *kept == 0).count() > TURNS / 3);
    let mut folded = State::default();
    entries.iter().for_each(|entry| folded.evolve(entry));
    assert_eq!(world.runtime.load(agent.id()).await.unwrap().0, folded);
    assert_eq!(folded.transcript.len(), TURNS * 2);
}
