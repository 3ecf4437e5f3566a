//! What the server tells of itself.

use kode_core::store::StoreError;
use kode_testkit::faulty::{Op, When};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn templates_are_listed_without_their_prompts() {
    let world = World::new();
    let template = |id: &str, default: bool| json!({ "id": id, "model": "scripted-1", "tools": ["broken", "slow"], "exposeThinking": false, "default": default });
    let expected = json!({ "templates": [template("careful", false), template("plain", true)] });
    assert_eq!(world.get("/api/templates").await.json, expected);
}

#[tokio::test]
async fn metrics_count_agents_in_memory_and_users_that_were_served() {
    let world = World::new();
    let router = world.router();
    let ask = async |request| {
        crate::world::Answer::of(tower::ServiceExt::oneshot(router.clone(), request).await.unwrap()).await
    };
    for user in ["ann", "ann", "bob"] {
        let body = Some(json!({ "message": "hi" }));
        ask(crate::world::request(axum::http::Method::POST, &format!("/api/chat/{user}"), &[], body)).await;
    }
    let metrics = ask(crate::world::request(axum::http::Method::GET, "/api/metrics", &[], None)).await;
    let expected = json!({
        "activeAgents": 2, "totalUsers": 2,
        "runtime": { "storeType": "memory", "templateCount": 2, "toolCount": 2, "model": "scripted-1", "demo": true },
        "pool": { "resident": 2, "max": 100, "evicted": 0 }, "uptimeSeconds": 0,
    });
    assert_eq!(metrics.json, expected);
}

#[tokio::test]
async fn a_server_that_cannot_work_or_is_to_stop_is_alive_and_not_ready() {
    let world = World::new();
    assert_eq!(world.get("/readyz").await.json, json!({ "status": "ready" }));
    world.faults.fill_up();
    assert_eq!(world.get("/readyz").await.refusal(), (503, "store_unavailable"));
    world.faults.mend();
    world.shutdown.cancel();
    assert_eq!(world.get("/readyz").await.refusal(), (503, "draining"));
    assert_eq!(world.get("/healthz").await.json, json!({ "status": "ok" }));
}

#[tokio::test]
async fn users_are_counted_right_after_a_restart() {
    let mut world = World::new();
    for agent in ["user:1", "user:1:session:a", "user:2", "other"] {
        world.turn(agent, "hello").await;
    }
    world.start_again();
    let users = async |world: &World| world.get("/api/metrics").await.json["totalUsers"].clone();
    world.faults.fail_all(Op::List, When::Before, StoreError::Unavailable("gone".into()));
    assert_eq!(users(&world).await, 0, "a store that cannot tell is asked again");
    world.faults.mend();
    assert_eq!(users(&world).await, 2);
    world.turn("user:3", "hello").await;
    assert_eq!(users(&world).await, 3);
}
