//! Ends that race with something else: a failing store, a deletion, a put-away, a name used again.

use std::sync::Arc;

use async_trait::async_trait;
use kode_core::fact::{Entry, Fact, IdempotencyKey};
use kode_core::id::{AgentId, Seq};
use kode_core::store::decorate::Decorator;
use kode_core::store::memory::MemoryStore;
use kode_core::store::{After, Durability, Journal, Lease, Store, StoreError, StoreResult};
use kode_core::template::Template;
use kode_core::{AgentSpec, Outgoing, Runtime, SendError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::{Gate, Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;

use crate::world::World;

fn keyed(text: &str) -> Outgoing {
    let key = Some(IdempotencyKey { key: "k".into(), digest: "d".into() });
    Outgoing { key, ..text.into() }
}

fn down() -> StoreError {
    StoreError::Unavailable("the wire is cut".into())
}

#[tokio::test]
async fn g1_a_repeat_is_not_acknowledged_before_the_first_is_durable() {
    let world = World::new([Script::new().text("hello")]);
    let agent = world.agent("a").await;
    world.faults.fail_nth(Op::Append, 1, When::Before, StoreError::Full("no space left".into()));
    let (first, repeat) = tokio::join!(agent.send(keyed("hi")), agent.send(keyed("hi")));
    assert!(first.is_err() && repeat.is_err(), "{first:?} {repeat:?}");
    let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), 100).await.unwrap();
    assert!(!entries.iter().any(|e| matches!(e.fact, Fact::MessageQueued { .. })));
}

#[tokio::test]
async fn g5_an_agent_that_lost_its_store_does_not_come_back_over_the_next_of_its_name() {
    let gate = Gate::default();
    let world = World::new([Script::new().hold(&gate).text("old"), Script::new().text("new")]);
    let old = world.agent("a").await;
    old.send("hi").await.unwrap();
    gate.arrived().await;
    for op in [Op::Append, Op::Acquire] {
        world.faults.fail_all(op, When::Before, down());
    }
    assert!(old.send("more").await.is_err());
    assert!(old.delete().await.is_err(), "the store is down");
    world.faults.mend();
    world.runtime.remove(old.id()).await.unwrap();
    world.clock.advance(10);
    let new = world.agent("a").await;
    // Now the old one tries again, and sees that it was deleted.
    world.clock.advance(20_000);
    while !old.is_gone() {
        tokio::task::yield_now().await;
    }
    assert_eq!(new.complete("to the new one").await.unwrap().text, "new");
}

#[tokio::test]
async fn an_agent_that_is_put_away_stays_away_though_its_lease_was_not_given_back() {
    let gate = Gate::default();
    let world = World::new([Script::new().hold(&gate).text("x")]);
    let agent = world.agent("a").await;
    agent.send("hi").await.unwrap();
    gate.arrived().await;
    world.faults.fail_nth(Op::Release, 1, When::Before, down());
    assert!(agent.put_away(true).await);
    assert!(agent.is_gone());
    assert_eq!(world.model.requests().len(), 1, "the run did not go on");
}

#[tokio::test]
async fn a_completion_ends_when_nobody_drives_the_agent_any_more() {
    let gate = Gate::default();
    let world = World::new([Script::new().hold(&gate).text("x")]);
    let agent = world.agent("a").await;
    let (completed, put_away) = tokio::join!(agent.complete("hi"), async {
        gate.arrived().await;
        agent.put_away(true).await
    });
    assert_eq!((completed, put_away), (Err(SendError::Gone), true));
}

/// A store of a host's own, with a fault that its author did not think of.
struct Faulty(MemoryStore);

#[async_trait]
impl Decorator for Faulty {
    fn inner(&self) -> &dyn Store {
        &self.0
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        let finishes = entries.iter().any(|entry| matches!(entry.fact, Fact::ModelAnswered { .. }));
        assert!(!finishes, "a fault of the store's");
        self.0.append(lease, expected, entries, grade).await
    }
}

#[tokio::test]
async fn a_completion_ends_also_where_a_panic_ended_the_driver() {
    let store = Arc::new(Faulty(MemoryStore::default()));
    let model = ScriptedModel::new([Script::new().text("hello")]);
    let builder = Runtime::builder(store, model, Arc::new(MemorySandbox::new()));
    let runtime = builder.template(Template::new("plain", "")).default_model("scripted-1").build().unwrap();
    let id = AgentId::new("a").unwrap();
    let agent = runtime.resume_or_create(&id, AgentSpec::default()).await.unwrap().agent;
    assert_eq!(agent.complete("hi").await, Err(SendError::Gone));
}

#[tokio::test]
async fn g4_a_reader_of_a_deleted_agent_ends_though_the_name_is_used_again() {
    let world = World::new([]);
    let agent = world.agent("a").await;
    let mut events = agent.subscription(agent.view().cursor);
    assert!(futures_util::poll!(Box::pin(events.next())).is_pending());
    agent.delete().await.unwrap();
    let _again = world.agent("a").await;
    assert_eq!(events.next().await, Ok(None));
}
