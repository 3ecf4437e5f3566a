//! Agents that sleep over an open approval: they take no place, and nothing of them is forgotten.

use std::time::Duration;

use kode_core::call::Decision;
use kode_core::event::DoneReason;
use kode_core::id::{AgentId, Cursor};
use kode_core::machine::Input;
use kode_core::store::{Leases, StoreError};
use kode_core::template::{Permission, Template};
use kode_core::{Agent, AgentSpec};
use kode_pool::{Pool, PoolError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, dones, id, until};

/// Every message asks for one call that needs approval, then says `done`.
fn asking(turns: usize) -> World {
    let scripts = (0..turns).map(|_| Script::new().call("slow", json!({})));
    let world = World::playing(scripts.chain((0..turns).map(|_| Script::new().text("done"))));
    world.gate.open();
    world
}

fn template(expire_secs: Option<u64>) -> Template {
    let permission =
        Permission { require_approval: vec!["slow".into()], expire_secs, ..Permission::default() };
    Template { permission, ..Template::new("careful", "You ask.").with_tools(["slow"]) }
}

async fn paused(pool: &Pool, name: &str) -> Cursor {
    let sent = pool.send(&id(name), AgentSpec::default(), "work".into()).await.unwrap();
    until(&pool.get(&id(name)).await.unwrap(), |view| !view.approvals.is_empty()).await;
    sent.cursor
}

async fn allow(pool: &Pool, name: &AgentId) {
    let call = pool.look(name).await.unwrap().unwrap().approvals[0].call.id.clone();
    let decide = |agent: Agent| {
        let call = call.clone();
        async move { agent.decide(&call, Decision::Allow, "ann", None).await }
    };
    pool.ask(name, decide).await.unwrap();
}

#[tokio::test]
async fn g6_g10_forgotten_approvals_fill_no_pool_and_each_can_still_be_decided() {
    let world = asking(50);
    let pool = world.pool_with(2, [template(None)]);
    for n in 0..50 {
        paused(&pool, &format!("a{n}")).await;
    }
    assert_eq!(pool.stats().resident, 2);
    let open = pool.approvals(&[""]).await.unwrap();
    assert_eq!(open.len(), 50);
    for (name, _) in &open {
        allow(&pool, name).await;
        assert_eq!(dones(&pool, name.as_str(), Cursor::ZERO).await, [DoneReason::Completed]);
    }
    assert_eq!(pool.approvals(&[""]).await.unwrap(), []);
}

#[tokio::test]
async fn g6_an_approval_expires_although_its_agent_sleeps() {
    let world = asking(2);
    let pool = world.pool_with(1, [template(Some(60))]);
    let first = paused(&pool, "a").await;
    let second = paused(&pool, "b").await;
    assert!(!pool.is_resident(&id("a")), "evicted by the second one");
    world.clock.advance(60_000);
    assert_eq!(dones(&pool, "b", second).await, [DoneReason::Completed]);
    // The only place was taken when the time came: it is tried again until there is one.
    let first = dones(&pool, "a", first);
    tokio::pin!(first);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut first => break ended,
            () = tokio::task::yield_now() => world.clock.advance(100),
        }
    };
    assert_eq!(ended, [DoneReason::Completed]);
    let calls = pool.runtime().load(&id("a")).await.unwrap().0.records;
    let decided = calls.iter().filter_map(|call| call.approval.as_ref()).map(|a| a.decided_by.clone());
    assert_eq!(decided.collect::<Vec<_>>(), [Some("expiry".to_owned())]);
}

#[tokio::test]
async fn g6_an_approval_that_expired_while_nobody_was_there_is_settled_at_the_start() {
    let world = asking(1);
    let ended = world.pool_with(10, [template(Some(60))]);
    let soon = paused(&ended, "a").await;
    ended.shutdown(std::time::Duration::ZERO).await;
    drop(ended);
    world.clock.advance(3_600_000);

    let next = world.pool_with(10, [template(Some(60))]);
    assert_eq!(next.resume_unfinished().await, Ok(0));
    assert_eq!(dones(&next, "a", soon).await, [DoneReason::Completed]);
    until(&next.get(&id("a")).await.unwrap(), |view| view.at_rest).await;
    next.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(world.store.unfinished().await.unwrap(), []);
}

#[tokio::test]
async fn g6_an_interrupt_settles_the_approval_of_a_sleeping_agent() {
    let world = asking(2);
    let pool = world.pool_with(1, [template(None)]);
    let sent = paused(&pool, "a").await;
    paused(&pool, "b").await;
    pool.ask(&id("a"), |agent| async move { agent.interrupt("ann", None).await }).await.unwrap();
    assert_eq!(dones(&pool, "a", sent).await, [DoneReason::Interrupted]);
    assert_eq!(pool.approvals(&["a"]).await.unwrap(), []);
}

/// One of two calls was decided on by a process that only has the store: the agent still stands at PAUSED, but
/// it does not only wait for a person.
#[tokio::test]
async fn g6_a_start_takes_up_an_agent_that_was_decided_on_while_nobody_had_it() {
    let asks = Script::new().call("slow", json!({})).call("slow", json!({}));
    let world = World::playing([asks, Script::new().text("done")]);
    world.gate.open();
    let pool = world.pool_with(1, [template(None)]);
    let sent = paused(&pool, "a").await;
    pool.shutdown(std::time::Duration::ZERO).await;
    let call = pool.look(&id("a")).await.unwrap().unwrap().approvals[0].call.id.clone();
    let input = Input::Decide { call, decision: Decision::Allow, by: "ann".into(), note: None };
    pool.runtime().record(&id("a"), input).await.unwrap();

    let next = world.pool_with(1, [template(None)]);
    assert_eq!(next.resume_unfinished().await, Ok(1));
    let agent = next.get(&id("a")).await.unwrap();
    until(&agent, |view| view.may_sleep()).await;
    assert_eq!(agent.view().approvals.len(), 1, "the other one still waits");
    allow(&next, &id("a")).await;
    assert_eq!(dones(&next, "a", sent).await, [DoneReason::Completed]);
}

/// It waits for a person, so it may go; and it waits for its store, so it cannot. Found by a simulated world (seed 1).
#[tokio::test]
async fn g10_an_agent_that_waits_for_its_store_is_asked_once_to_make_room() {
    let world = asking(1);
    let pool = world.pool_with(1, [template(None)]);
    paused(&pool, "a").await;
    let away = || StoreError::Unavailable("scripted".into());
    world.faults.fail_all(Op::Renew, When::Before, away());
    world.faults.fail_all(Op::LoadCheckpoint, When::Before, away());
    // Its lease is to be renewed by now, which fails, and so does the look at its journal.
    world.clock.advance(4_000_000);
    world.pass(Duration::from_millis(30)).await;
    let late = id("late");
    let refused = pool.send(&late, AgentSpec::default(), "me too".into());
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await.expect("it is answered");
    assert_eq!(refused, Err(PoolError::Full { max: 1 }));

    world.faults.mend();
    world.pass(Duration::from_secs(60)).await;
    pool.send(&late, AgentSpec::default(), "me too".into()).await.unwrap();
}
