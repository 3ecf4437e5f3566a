//! Deletion is final, and possible in every state.

use kode_core::event::DoneReason;
use kode_core::id::Cursor;
use kode_core::sandbox::SandboxFactory;
use kode_core::store::{Catalog, Leases, StoreError};
use kode_core::template::{SandboxSpec, Template};
use kode_pool::PoolError;
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, dones, id, made, plain};

#[tokio::test]
async fn a_run_under_way_is_interrupted_its_readers_end_and_it_does_not_come_back() {
    let world = World::playing([Script::new().call("slow", json!({}))]);
    let pool = world.pool(10);
    let name = id("user:1");
    pool.send(&name, plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let mut reader = pool.runtime().subscription(&name, Cursor::ZERO);
    let told = {
        let pool = pool.clone();
        tokio::spawn(async move { dones(&pool, "user:1", Cursor::ZERO).await })
    };
    pool.delete(&name, false).await.unwrap();
    assert_eq!(told.await.unwrap(), [DoneReason::Interrupted]);
    while reader.next().await.unwrap().is_some() {}
    assert_eq!(pool.look(&name).await.unwrap(), None);
    assert_eq!(pool.list(&[""], None, 10).await.unwrap().agents, Vec::new());
    assert_eq!(pool.delete(&name, false).await, Err(PoolError::NotFound(name.clone())));
    assert_eq!(pool.resume_unfinished().await, Ok(0));
    assert!(pool.resume_or_create(&name, plain()).await.unwrap().created);
}

#[tokio::test]
async fn g3_deleting_an_agent_that_is_asleep_does_not_wake_its_work() {
    let world = World::playing([Script::new().call("slow", json!({})), Script::new().text("woken")]);
    let (before, name) = (world.pool(10), id("user:1"));
    before.send(&name, plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    before.shutdown(std::time::Duration::ZERO).await;

    let pool = world.pool(10);
    pool.delete(&name, false).await.unwrap();
    assert_eq!(pool.look(&name).await.unwrap(), None);
    assert_eq!(world.model.requests().len(), 1, "the model was asked once more for an agent that is deleted");
}

#[tokio::test]
async fn files_go_only_when_that_is_asked_for() {
    let world = World::new();
    let pool = world.pool(10);
    for (name, workspace) in [("kept", false), ("gone", true)] {
        made(&pool, name).await;
        world.files.workspace(&id(name)).put("note", "x");
        pool.delete(&id(name), workspace).await.unwrap();
    }
    let text = |name| world.files.workspace(&id(name)).text("note");
    assert_eq!((text("kept").as_deref(), text("gone")), (Some("x"), None));
    assert!(world.files.open(&id("gone"), &SandboxSpec::default()).await.is_ok());
}

/// Scenario 30. Upstream deletes the history of an agent whose template or tool is missing [S].
#[tokio::test]
async fn g7_an_agent_whose_template_is_gone_cannot_run_and_can_still_be_deleted() {
    let world = World::new();
    let before = world.pool(10);
    made(&before, "user:1").await;
    before.shutdown(std::time::Duration::ZERO).await;

    let pool = world.pool_with(10, [Template::new("other", "")]);
    let name = id("user:1");
    let refused = pool.send(&name, plain(), "hello".into()).await;
    assert!(matches!(refused, Err(PoolError::UnknownTemplate(_))), "{refused:?}");
    assert!(pool.look(&name).await.unwrap().is_some(), "it is as it was");
    pool.delete(&name, false).await.unwrap();
    assert_eq!(pool.look(&name).await.unwrap(), None);
}

#[tokio::test]
async fn on_a_full_disk_agents_at_rest_and_at_work_can_be_deleted() {
    let world = World::held();
    let pool = world.pool(10);
    made(&pool, "idle").await;
    let asleep = made(&pool, "asleep").await;
    assert!(asleep.put_away(false).await);
    pool.send(&id("busy"), plain(), "work".into()).await.unwrap();

    for op in [Op::Append, Op::SaveCheckpoint] {
        world.faults.fail_all(op, When::Before, StoreError::Full("no space left".into()));
    }
    for name in ["idle", "asleep", "busy"] {
        assert_eq!(pool.delete(&id(name), false).await, Ok(()), "{name}");
    }
    world.faults.mend();
    world.clock.advance(60_000);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // The busy one's driver tried to come back as soon as there was space.
    assert_eq!(world.store.list("", None, 10).await.unwrap(), []);
    assert_eq!(world.store.unfinished().await.unwrap(), []);
}

#[tokio::test]
async fn one_who_asks_during_a_deletion_meets_a_new_agent_and_not_the_old_one() {
    let world = World::new();
    let pool = world.pool(10);
    let name = id("user:1");
    pool.send(&name, plain(), "old".into()).await.unwrap();
    let (deleted, opened) = tokio::join!(pool.delete(&name, false), pool.resume_or_create(&name, plain()));
    deleted.unwrap();
    assert!(opened.unwrap().created);
    assert!(pool.look(&name).await.unwrap().unwrap().transcript.is_empty());
}
