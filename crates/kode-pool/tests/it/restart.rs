//! The end of a process and the start of the next: nothing is lost between them.

use std::time::Duration;

use kode_core::clock::Clock as _;
use kode_core::event::DoneReason;
use kode_core::id::Cursor;
use kode_core::store::{Journal, Leases};
use kode_pool::{PoolError, Shutdown};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, careful, dones, id, made, plain, until};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn idle_agents_leave_at_once_and_nobody_enters_any_more() {
    let world = World::new();
    let pool = world.pool(10);
    made(&pool, "a").await;
    made(&pool, "b").await;
    assert_eq!(pool.shutdown(GRACE).await, Shutdown { at_rest: 2, unfinished: 0 });
    assert!(pool.is_draining());
    assert_eq!(pool.get(&id("a")).await.err(), Some(PoolError::Draining));
    assert_eq!(pool.delete(&id("a"), false).await, Err(PoolError::Draining));
    assert!(pool.look(&id("a")).await.unwrap().is_some(), "reading goes on");
    assert_eq!(world.store.unfinished().await.unwrap(), []);
}

#[tokio::test]
async fn a_run_that_ends_within_the_grace_is_waited_for() {
    let world = World::held();
    let pool = world.pool(10);
    pool.send(&id("a"), plain(), "work".into()).await.unwrap();
    let (ended, ()) = tokio::join!(pool.shutdown(GRACE), async {
        world.gate.arrived().await;
        world.gate.open();
    });
    assert_eq!(ended, Shutdown { at_rest: 1, unfinished: 0 });
    assert_eq!(dones(&pool, "a", Cursor::ZERO).await, [DoneReason::Completed]);
}

#[tokio::test]
async fn g1_a_run_that_outlasts_the_grace_goes_on_at_the_next_start() {
    let world = World::held();
    let pool = world.pool(10);
    let sent = pool.send(&id("a"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let (ended, ()) = tokio::join!(pool.shutdown(GRACE), async {
        world.clock.advance(10_000);
    });
    assert_eq!(ended, Shutdown { at_rest: 0, unfinished: 1 });
    assert_eq!(world.store.unfinished().await.unwrap(), [id("a")]);

    world.gate.open();
    let next = world.pool(10);
    assert_eq!(next.resume_unfinished().await, Ok(1));
    assert_eq!(dones(&next, "a", sent.cursor).await, [DoneReason::Completed]);
}

#[tokio::test]
async fn g1_what_a_dead_node_left_goes_on_when_its_lease_has_ended() {
    let world = World::held();
    let pool = world.pool(10);
    let sent = pool.send(&id("a"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    tokio::join!(pool.shutdown(GRACE), async { world.clock.advance(10_000) });
    // The node that had it next died with the lease.
    let lease = world.store.acquire(&id("a"), "a node that died", 10_000, world.clock.now()).await.unwrap();

    world.gate.open();
    let next = world.pool(10);
    assert_eq!(next.resume_unfinished().await, Ok(0));
    assert!(!next.is_resident(&id("a")));
    // It was not dead yet: its lease goes on, and ends after all.
    world.store.renew(&lease, 15_000, world.clock.now()).await.unwrap();
    world.pass(Duration::from_secs(12)).await;
    assert!(!next.is_resident(&id("a")));
    world.pass(Duration::from_secs(12)).await;
    assert!(next.is_resident(&id("a")), "nobody asked for it");
    assert_eq!(dones(&next, "a", sent.cursor).await, [DoneReason::Completed]);
}

#[tokio::test]
async fn g6_an_agent_that_waits_for_a_person_is_not_waited_for_and_still_asks_after_the_start() {
    let scripts = [Script::new().call("slow", json!({})), Script::new().text("done")];
    let world = World::playing(scripts);
    world.gate.open();
    let pool = world.pool(10);
    let sent = pool.send(&id("a"), careful(), "work".into()).await.unwrap();
    let agent = pool.get(&id("a")).await.unwrap();
    until(&agent, |view| !view.approvals.is_empty()).await;
    assert_eq!(pool.shutdown(GRACE).await, Shutdown { at_rest: 0, unfinished: 1 });

    let next = world.pool(10);
    let asked = next.approvals(&[""]).await.unwrap();
    assert_eq!(asked.len(), 1, "also before it is in memory again");
    assert_eq!(next.resume_unfinished().await, Ok(0));
    assert!(!next.is_resident(&id("a")), "it takes no place while it waits");
    assert_eq!(next.approvals(&["a"]).await.unwrap(), asked);
    let (name, open) = &asked[0];
    let allow = |agent: kode_core::Agent| {
        let call = open.call.id.clone();
        async move { agent.decide(&call, kode_core::call::Decision::Allow, "ann", None).await }
    };
    next.ask(name, allow).await.unwrap();
    assert_eq!(dones(&next, "a", sent.cursor).await, [DoneReason::Completed]);
}

#[tokio::test]
async fn after_a_crash_agents_at_rest_are_released_unchanged_and_others_go_on() {
    let world = World::held();
    let crashed = world.pool(10);
    made(&crashed, "idle").await;
    let sent = crashed.send(&id("busy"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let head = world.store.head(&id("idle")).await.unwrap();

    world.gate.open();
    let next = world.pool(10);
    assert_eq!(next.resume_unfinished().await, Ok(1));
    assert_eq!(world.store.head(&id("idle")).await.unwrap(), head, "nothing was written to it");
    assert!(next.is_resident(&id("busy")) && !next.is_resident(&id("idle")));
    assert_eq!(dones(&next, "busy", sent.cursor).await, [DoneReason::Completed]);
    assert_eq!(world.store.unfinished().await.unwrap(), [id("busy")]);
}

#[tokio::test]
async fn more_unfinished_agents_than_places_go_on_one_after_another() {
    let world = World::held();
    let crashed = world.pool(10);
    for n in 0..5 {
        crashed.send(&id(&format!("a{n}")), plain(), "work".into()).await.unwrap();
    }
    let next = world.pool(2);
    let going_on = tokio::spawn({
        let next = next.clone();
        async move { next.resume_unfinished().await }
    });
    while next.stats().resident < 2 {
        tokio::task::yield_now().await;
    }
    world.gate.open();
    while !going_on.is_finished() {
        world.clock.advance(100);
        tokio::task::yield_now().await;
    }
    assert_eq!(going_on.await.unwrap(), Ok(5));
    for n in 0..5 {
        assert_eq!(dones(&next, &format!("a{n}"), Cursor::ZERO).await.len(), 1);
    }
}

#[tokio::test]
async fn an_agent_that_cannot_be_taken_up_is_left_and_does_not_hold_up_the_others() {
    let world = World::held();
    let crashed = world.pool(10);
    for name in ["a", "b"] {
        crashed.send(&id(name), plain(), "work".into()).await.unwrap();
    }
    world.gate.open();
    let other = kode_core::template::Template::new("other", "");
    let next = world.pool_with(10, [other]);
    assert_eq!(next.resume_unfinished().await, Ok(0));
    let mut left = world.store.unfinished().await.unwrap();
    left.sort();
    assert_eq!(left, [id("a"), id("b")]);
}
