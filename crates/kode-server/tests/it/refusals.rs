//! What cannot be done now: full pools, full disks, damage, shutdown.

use kode_core::id::AgentId;
use kode_core::store::{Damage, StoreError};
use kode_testkit::faulty::{Op, When};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_full_pool_says_when_to_come_back() {
    let world = World::held(1);
    world.post("/api/agents/busy/messages", json!({ "text": "work" })).await;
    let refused = world.post("/api/agents/late/messages", json!({ "text": "work" })).await;
    assert_eq!(refused.refusal(), (503, "pool_full"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(world.get("/api/agents/busy/status").await.json["state"], "WORKING");
}

#[tokio::test]
async fn on_a_full_disk_messages_are_refused_reads_go_on_and_agents_can_be_deleted() {
    let world = World::new();
    world.turn("a", "hello").await;
    let full = StoreError::Full("/var/lib/kode: no space left on device".into());
    world.faults.fail_all(Op::Append, When::Before, full);
    let refused = world.post("/api/agents/a/messages", json!({ "text": "more" })).await;
    assert_eq!(refused.refusal(), (503, "store_unavailable"));
    let error = refused.json["error"].as_str().unwrap();
    assert!(error.contains("full") && !error.contains('/'), "{error}");
    assert_eq!(world.get("/api/agents/a/messages").await.json["messages"].as_array().unwrap().len(), 2);
    assert_eq!(world.delete("/api/agents/a").await.status, 204);
}

#[tokio::test]
async fn g7_a_damaged_journal_is_named_and_kept() {
    let world = World::new();
    let damage =
        Damage { agent: AgentId::new("a").unwrap(), place: "line 3".into(), what: "a bad checksum".into() };
    world.faults.fail_all(Op::Read, When::Before, StoreError::Damaged(damage));
    for answer in [
        world.get("/api/agents/a/status").await,
        world.post("/api/agents/a/messages", json!({ "text": "x" })).await,
    ] {
        assert_eq!(answer.refusal(), (500, "journal_damaged"));
        assert!(answer.json["error"].as_str().unwrap().contains("line 3"));
    }
}

#[tokio::test]
async fn a_server_that_shuts_down_takes_no_messages() {
    let world = World::new();
    world.turn("a", "hello").await;
    world.pool.shutdown(std::time::Duration::ZERO).await;
    let refused = world.post("/api/agents/a/messages", json!({ "text": "x" })).await;
    assert_eq!(refused.refusal(), (503, "draining"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(world.get("/api/agents/a").await.status, 200);
}
