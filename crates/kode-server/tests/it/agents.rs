//! Agents as such.

use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, kinds};

#[tokio::test]
async fn an_agent_is_created_once_and_told_apart_by_its_template() {
    let world = World::new();
    let body = json!({ "agentId": "user:1", "templateId": "careful", "metadata": { "plan": "free" } });
    let first = world.post("/api/agents", body.clone()).await;
    assert_eq!((first.status.as_u16(), &first.json), (201, &json!({ "agentId": "user:1", "created": true })));
    let again = world.post("/api/agents", body).await;
    assert_eq!(
        (again.status.as_u16(), &again.json),
        (200, &json!({ "agentId": "user:1", "created": false }))
    );
    let other = world.post("/api/agents", json!({ "agentId": "user:1", "templateId": "plain" })).await;
    assert_eq!(other.refusal(), (409, "agent_exists"));
    let other =
        world.post("/api/agents/user:1/messages", json!({ "text": "x", "templateId": "plain" })).await;
    assert_eq!(other.refusal(), (409, "agent_exists"));
    for path in ["/api/agents", "/api/agents/user:2/messages"] {
        let mut body = json!({ "templateId": "nonsense" });
        if path.ends_with("messages") {
            body["text"] = json!("x");
        }
        assert_eq!(world.post(path, body).await.refusal(), (422, "unknown_template"));
    }
    let info = world.get("/api/agents/user:1").await.json;
    let now = kode_core::clock::Clock::now(&*world.clock);
    assert_eq!(
        info,
        json!({
            "agentId": "user:1", "templateId": "careful", "state": "READY", "createdAt": now, "updatedAt": now,
            "messageCount": 0, "resident": true, "metadata": { "plan": "free" },
        })
    );
}

#[tokio::test]
async fn an_agent_without_a_name_gets_one() {
    let world = World::new();
    let created = world.post("/api/agents", json!({})).await;
    assert_eq!(created.json, json!({ "agentId": "agent:n1", "created": true }));
    let empty = world.send(crate::world::request(axum::http::Method::POST, "/api/agents", &[], None)).await;
    assert_eq!(empty.status(), 201);
}

#[tokio::test]
async fn lists_are_pages_of_whole_segments() {
    let world = World::new();
    for name in ["user:1", "user:12", "user:1:session:a"] {
        world.turn(name, "hello").await;
    }
    let names = async |query: &str| {
        let page = world.get(&format!("/api/agents{query}")).await.json;
        let of = |agent: &serde_json::Value| agent["agentId"].as_str().unwrap().to_owned();
        (page["agents"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(names("?prefix=user:1").await.0, ["user:1", "user:1:session:a"]);
    assert_eq!(names("?limit=1").await, (vec!["user:1".to_owned()], json!("user:1")));
    assert_eq!(
        names("?limit=5&after=user:1").await,
        (vec!["user:12".into(), "user:1:session:a".into()], json!(null))
    );
    assert_eq!(world.get("/api/agents?limit=x").await.refusal(), (400, "invalid_query"));
    assert_eq!(world.get("/api/agents?after=../x").await.refusal(), (400, "invalid_agent_id"));
    let first = &world.get("/api/agents?limit=1").await.json["agents"][0];
    assert_eq!((&first["messageCount"], &first["state"]), (&json!(2), &json!("READY")));
}

#[tokio::test]
async fn delete_ends_the_run_and_its_streams_and_the_agent_does_not_come_back() {
    let world = World::playing([Script::new().call("slow", json!({}))]);
    world.post("/api/agents/a/messages", json!({ "text": "work" })).await;
    world.gate.arrived().await;
    let (plain, following) =
        (world.listen("/api/agents/a/stream").await, world.listen("/api/agents/a/stream?follow=true").await);
    assert_eq!(world.delete("/api/agents/a").await.status, 204);
    for stream in [plain, following] {
        let told = stream.rest().await;
        assert_eq!(told.last().unwrap().data["event"]["reason"], "interrupted");
        assert_eq!(kinds(&told).iter().filter(|kind| **kind == "done").count(), 1);
    }
    assert_eq!(world.get("/api/agents/a").await.refusal(), (404, "agent_not_found"));
    assert_eq!(world.delete("/api/agents/a?workspace=true").await.refusal(), (404, "agent_not_found"));
    assert_eq!(world.get("/api/agents").await.json, json!({ "agents": [] }));
}

#[tokio::test]
async fn the_status_of_an_agent_says_where_it_stands() {
    let world = World::held(1);
    let queued = world.post("/api/agents/a/messages", json!({ "text": "hello" })).await;
    assert_eq!(queued.status, 202);
    world.gate.arrived().await;
    world.post("/api/agents/a/messages", json!({ "text": "and then" })).await;
    let status = world.get("/api/agents/a/status").await.json;
    let now = kode_core::clock::Clock::now(&*world.clock);
    assert_eq!(
        status,
        json!({
            "agentId": "a", "state": "WORKING", "breakpoint": "STREAMING_MODEL", "stepCount": 1,
            "lastSfpIndex": 0, "lastBookmark": { "seq": status["lastBookmark"]["seq"], "timestamp": now },
            "cursor": status["cursor"], "templateId": "plain", "model": "scripted-1",
            "pendingApprovals": [], "queued": 1,
            "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0, "cachedTokens": 0, "reasoningTokens": 0 },
            "sandbox": { "level": "files", "gaps": ["everything is in memory"] },
        })
    );
    assert!(status["cursor"].as_u64() > queued.json["cursor"].as_u64());

    let unknown = world.get("/api/agents/nobody/status").await.json;
    assert_eq!((&unknown["templateId"], &unknown["model"]), (&json!("plain"), &json!("scripted-1")));
    assert_eq!(unknown["sandbox"]["level"], "files", "as around the last agent of the template");
    assert_eq!(unknown.get("lastBookmark"), None);
}

/// Scenario 1.
#[tokio::test]
async fn a_fresh_agent_has_done_nothing() {
    let world = World::new();
    world.post("/api/agents", json!({ "agentId": "user:1" })).await;
    let status = world.get("/api/agents/user:1/status").await.json;
    let told = (&status["state"], &status["breakpoint"], &status["stepCount"], &status["lastSfpIndex"]);
    assert_eq!(told, (&json!("READY"), &json!("READY"), &json!(0), &json!(-1)));
}
