//! Agents that nobody asks for are put away in time, and are there again when somebody does.

use std::time::Duration;

use crate::world::{IDLE, World, careful, id, made, plain, until};

const HALF: Duration = Duration::from_secs(IDLE.as_secs() / 2);

#[tokio::test]
async fn g10_an_idle_agent_is_put_away_and_comes_back_when_it_is_asked_for() {
    let world = World::answering(kode_testkit::scripted_model::Script::new().text("ok"));
    let pool = world.pool(10);
    for name in ["a", "b"] {
        pool.send(&id(name), plain(), "hello".into()).await.unwrap();
        until(&pool.get(&id(name)).await.unwrap(), |view| view.is_idle()).await;
    }
    for _ in 0..3 {
        world.pass(HALF).await;
        pool.get(&id("b")).await.unwrap();
    }
    assert!(!pool.is_resident(&id("a")), "nobody asked for it");
    assert!(pool.is_resident(&id("b")), "it was asked for again and again");
    assert_eq!((pool.stats().resident, pool.stats().evicted), (1, 1));
    let again = pool.get(&id("a")).await.unwrap();
    assert_eq!(again.view().transcript.len(), 2, "nothing of it is lost");
}

#[tokio::test]
async fn who_is_at_work_is_not_idle_and_who_waits_for_a_person_may_go() {
    let world = World::held();
    let pool = world.pool(10);
    pool.send(&id("works"), plain(), "hello".into()).await.unwrap();
    world.pass(IDLE * 3).await;
    assert!(pool.is_resident(&id("works")));
    world.gate.open();
    until(&pool.get(&id("works")).await.unwrap(), |view| view.is_idle()).await;
    world.pass(IDLE * 2).await;
    assert!(!pool.is_resident(&id("works")), "its work is done");

    let script = kode_testkit::scripted_model::Script::new().call("slow", serde_json::json!({}));
    let world = World::answering(script);
    let pool = world.pool(10);
    pool.send(&id("asks"), careful(), "hello".into()).await.unwrap();
    until(&pool.get(&id("asks")).await.unwrap(), |view| !view.approvals.is_empty()).await;
    world.pass(IDLE * 2).await;
    assert!(!pool.is_resident(&id("asks")));
    assert_eq!(pool.approvals(&[""]).await.unwrap().len(), 1, "and is not forgotten");
}

#[tokio::test]
async fn g10_a_thousand_idle_agents_leave_nothing_behind() {
    let world = World::answering(kode_testkit::scripted_model::Script::new().text("ok"));
    let pool = world.pool(2_000);
    for nth in 0..1_000 {
        drop(made(&pool, &format!("a{nth}")).await);
    }
    assert_eq!(pool.stats().resident, 1_000);
    world.pass(IDLE * 2).await;
    assert_eq!((pool.stats().resident, pool.stats().evicted), (0, 1_000));
}
