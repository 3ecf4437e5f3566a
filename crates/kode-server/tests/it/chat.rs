//! The routes of the design's complete server.

use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_users_messages_go_to_the_users_agent_and_a_sessions_to_its_own() {
    let world = World::new();
    let sent = world.post("/api/chat/alice", json!({ "message": "你好" })).await;
    let (message, cursor) = (&sent.json["messageId"], &sent.json["cursor"]);
    let expected = json!({
        "success": true, "agentId": "user:alice", "message": "消息已发送", "messageId": message, "cursor": cursor,
    });
    assert_eq!((sent.status.as_u16(), &sent.json), (200, &expected));
    let events = world.listen(&format!("/api/chat/alice/stream?since={cursor}")).await.rest().await;
    assert_eq!(events.last().unwrap().data["event"]["messageIds"], json!([message]));

    let sent = world.post("/api/chat/alice/messages", json!({ "message": "hi", "sessionId": "s1" })).await;
    assert_eq!(sent.json["agentId"], "user:alice:session:s1");
    let cursor = &sent.json["cursor"];
    world.listen(&format!("/api/chat/alice/stream?since={cursor}&sessionId=s1")).await.rest().await;
    let empty = world.post("/api/chat/alice/messages", json!({ "message": "hi", "sessionId": "" })).await;
    assert_eq!(empty.json["agentId"], "user:alice", "no session, as in the design");

    let status = world.get("/api/chat/alice/status?sessionId=s1").await.json;
    assert_eq!((&status["agentId"], &status["todos"]), (&json!("user:alice:session:s1"), &json!([])));
    assert_eq!(status["status"], world.get("/api/agents/user:alice:session:s1/status").await.json);
}

#[tokio::test]
async fn keys_and_templates_work_as_for_messages() {
    let world = World::held(10);
    let key = [("idempotency-key", "k1")];
    let body = json!({ "message": "hi", "templateId": "careful" });
    let first = world.post_with("/api/chat/bob", &key, body.clone()).await;
    assert_eq!(world.post_with("/api/chat/bob/messages", &key, body).await.json, first.json);
    let other = world.post_with("/api/chat/bob", &key, json!({ "message": "bye" })).await;
    assert_eq!(other.refusal(), (422, "idempotency_key_reused"));
    assert_eq!(world.get("/api/agents/user:bob").await.json["templateId"], "careful");
    assert_eq!(
        world.post("/api/chat/bob", json!({ "message": " " })).await.refusal(),
        (422, "invalid_request")
    );
    assert_eq!(world.post("/api/chat/bob", json!({ "text": "x" })).await.refusal(), (422, "invalid_request"));
}

#[tokio::test]
async fn approvals_and_interrupts_reach_the_session() {
    let asks = || Script::new().call("slow", json!({}));
    let world = World::playing([asks(), asks(), Script::new().text("done")]);
    world.gate.open();
    for session in ["s1", "s2"] {
        world
            .post("/api/chat/al", json!({ "message": "work", "sessionId": session, "templateId": "careful" }))
            .await;
    }
    let call = world.asked("user:al:session:s1").await;
    world.asked("user:al:session:s2").await;
    let decide = json!({ "callId": call, "decision": "allow", "sessionId": "s1" });
    let allowed = world.post("/api/chat/al/approve", decide.clone()).await;
    assert_eq!((allowed.status.as_u16(), &allowed.json), (200, &json!({ "success": true })));
    assert_eq!(world.post("/api/chat/al/approve", decide).await.refusal(), (409, "approval_decided"));
    let stopped = world.post("/api/chat/al/interrupt", json!({ "sessionId": "s2" })).await;
    assert_eq!(
        (stopped.status.as_u16(), &stopped.json),
        (202, &json!({ "success": true, "status": "interrupting" }))
    );
}

#[tokio::test]
async fn a_users_sessions_are_listed_and_nobody_elses() {
    let world = World::new();
    for agent in [
        "user:al",
        "user:al:session:s1",
        "user:al:session:s2",
        "user:al:session:s2:deep",
        "user:alma:session:x",
    ] {
        world.turn(agent, "hello").await;
    }
    let sessions = world.get("/api/chat/al/sessions").await.json;
    let named: Vec<_> =
        sessions["sessions"].as_array().unwrap().iter().map(|s| (&s["sessionId"], &s["agentId"])).collect();
    let expected = [(json!("s1"), json!("user:al:session:s1")), (json!("s2"), json!("user:al:session:s2"))];
    assert_eq!(named, expected.iter().map(|(s, a)| (s, a)).collect::<Vec<_>>());
    let page = world.get("/api/chat/al/sessions?limit=1").await.json;
    assert_eq!(page["next"], "s1");
    assert_eq!(
        world.get("/api/chat/al/sessions?limit=1&after=s1").await.json["sessions"][0]["sessionId"],
        "s2"
    );
    assert_eq!(world.get("/api/chat/nobody/sessions").await.json, json!({ "sessions": [] }));
}

#[tokio::test]
async fn an_unknown_user_looks_like_a_fresh_one() {
    let world = World::new();
    let status = world.get("/api/chat/nobody/status").await;
    assert_eq!(status.status, 200);
    assert_eq!((&status.json["status"]["state"], &status.json["todos"]), (&json!("READY"), &json!([])));
    assert_eq!(world.get("/api/chat/nobody/stream?since=1").await.refusal(), (404, "agent_not_found"));
}
