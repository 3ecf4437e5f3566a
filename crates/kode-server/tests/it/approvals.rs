//! What waits for a person, over HTTP.

use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, request};

/// The SHA-256 of `{"n":1}`.
const HASH: &str = "2bfd14f43d17fc7cea24e0917a8879b4b2f880b8baeec1b9d90fbaad655e71bd";

async fn asking(world: &World, agent: &str) -> String {
    let body = json!({ "text": "work", "templateId": "careful" });
    assert_eq!(world.post(&format!("/api/agents/{agent}/messages"), body).await.status, 202);
    world.asked(agent).await
}

fn scripts() -> [Script; 2] {
    [Script::new().call("slow", json!({ "n": 1 })), Script::new().text("done")]
}

#[tokio::test]
async fn g6_an_open_approval_is_listed_decided_once_and_then_history() {
    let world = World::playing(scripts());
    world.gate.open();
    let call = asking(&world, "a").await;
    let now = kode_core::clock::Clock::now(&*world.clock);
    let reason = &world.get("/api/agents/a/approvals").await.json["approvals"][0]["reason"];
    let mut open = json!({
        "callId": call, "tool": "slow", "inputHash": HASH, "inputPreview": "{\"n\":1}", "input": { "n": 1 }, "reason": reason, "requestedAt": now,
    });
    assert_eq!(world.get("/api/agents/a/approvals").await.json, json!({ "approvals": [open] }));
    let status = world.get("/api/agents/a/status").await.json;
    assert_eq!((&status["state"], &status["breakpoint"]), (&json!("PAUSED"), &json!("AWAITING_APPROVAL")));
    assert_eq!(status["pendingApprovals"][0]["id"], call);
    open["agentId"] = json!("a");
    assert_eq!(world.get("/api/approvals?prefix=a").await.json, json!({ "approvals": [open] }));
    assert_eq!(world.get("/api/approvals?prefix=b").await.json, json!({ "approvals": [] }));

    let decide = async |call: &str, decision: &str| {
        let body = json!({ "callId": call, "decision": decision, "note": "go on" });
        world.post("/api/agents/a/approve", body).await
    };
    assert_eq!(decide("call_9_9", "allow").await.refusal(), (404, "approval_not_found"));
    assert_eq!(decide(&call, "maybe").await.refusal(), (422, "invalid_request"));
    let mut told = world.listen("/api/agents/a/stream?since=0&channels=control,progress").await;
    assert_eq!(decide(&call, "allow").await.status, 204);
    let decided = told.next_of("permission_decided").await.data["event"].clone();
    let expected = json!({
        "channel": "control", "type": "permission_decided", "callId": call, "decision": "allow", "decidedBy": "local", "note": "go on",
    });
    assert_eq!(decided, expected);
    assert_eq!(told.rest().await.last().unwrap().data["event"]["reason"], "completed");
    assert_eq!(decide(&call, "deny").await.refusal(), (409, "approval_decided"));
    assert_eq!(world.get("/api/agents/a/approvals").await.json, json!({ "approvals": [] }));
}

#[tokio::test]
async fn an_interrupt_says_whether_there_was_something_to_stop() {
    let world = World::playing(scripts());
    asking(&world, "a").await;
    let stream = world.listen("/api/agents/a/stream").await;
    let stop = || request(axum::http::Method::POST, "/api/agents/a/interrupt", &[], None);
    let stopped = crate::world::Answer::of(world.send(stop()).await).await;
    assert_eq!((stopped.status.as_u16(), &stopped.json), (202, &json!({ "status": "interrupting" })));
    assert_eq!(stream.rest().await.last().unwrap().data["event"]["reason"], "interrupted");
    let idle = world.post("/api/agents/a/interrupt", json!({ "note": "stop" })).await;
    assert_eq!((idle.status.as_u16(), &idle.json), (202, &json!({ "status": "idle" })));
    let wrong = world.post("/api/agents/a/interrupt", json!({ "reason": "stop" })).await;
    assert_eq!(wrong.refusal(), (422, "invalid_request"));
}

#[tokio::test]
async fn a_decision_on_another_input_than_the_one_shown_decides_nothing() {
    let world = World::playing(scripts());
    world.gate.open();
    let call = asking(&world, "user:1").await;
    let decide = async |path: &str, hash: &str| {
        let body = json!({ "callId": call, "decision": "allow", "inputHash": hash });
        world.post(path, body).await
    };
    for path in ["/api/agents/user:1/approve", "/api/chat/1/approve"] {
        for other in ["", "00", &HASH[1..], &HASH.replace('a', "b")] {
            assert_eq!(decide(path, other).await.refusal(), (409, "approval_changed"), "{other:?}");
        }
    }
    assert_eq!(world.get("/api/agents/user:1/status").await.json["state"], "PAUSED");
    assert_eq!(decide("/api/chat/1/approve", &HASH.to_uppercase()).await.status, 200);
    assert_eq!(decide("/api/agents/user:1/approve", "00").await.refusal(), (409, "approval_decided"));
}
