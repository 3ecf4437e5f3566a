//! Names of agents, users and sessions: what is refused, and that it is refused everywhere alike.

use serde_json::json;

use crate::world::World;

/// Scenario 51. Upstream joins an id to a path as it is [S].
#[tokio::test]
async fn a_name_that_is_no_agent_id_is_refused_on_every_route_in_every_disguise() {
    let world = World::new();
    let long = "x".repeat(600);
    let names = ["a%2Fb", "..", "%2e%2e", "%2Ehidden", "-rf", "a%00b", "%FF%FE", "a%20b", "a%0Ab", &long];
    for name in names {
        for path in ["", "/status", "/stream", "/messages", "/events", "/todos", "/approvals"] {
            let answer = world.get(&format!("/api/agents/{name}{path}")).await;
            assert_eq!(answer.refusal(), (400, "invalid_agent_id"), "{name}{path}");
        }
        let answer = world.post(&format!("/api/agents/{name}/messages"), json!({ "text": "x" })).await;
        assert_eq!(answer.refusal(), (400, "invalid_agent_id"), "{name}");
    }
    let answer = world.post("/api/agents", json!({ "agentId": "../x" })).await;
    assert_eq!(answer.refusal(), (400, "invalid_agent_id"));
    assert_eq!(world.get("/api/agents").await.json, json!({ "agents": [] }));
}

#[tokio::test]
async fn an_encoded_name_is_the_same_agent() {
    let world = World::new();
    world.turn("user%3A1", "hello").await;
    assert_eq!(world.get("/api/agents/user:1").await.json["agentId"], "user:1");
}

#[tokio::test]
async fn a_colon_in_user_or_session_reaches_nobody_elses_agent() {
    let world = World::new();
    world.turn("user:a:session:b", "secret").await;
    let refused = [
        world.get("/api/chat/a:session:b/status").await,
        world.get("/api/chat/a%3Asession%3Ab/status").await,
        world.get("/api/chat/a/status?sessionId=b:c").await,
        world.get("/api/chat/a:b/stream").await,
        world.get("/api/chat/a:session/sessions").await,
        world.post("/api/chat/a:session:b", json!({ "message": "x" })).await,
        world.post("/api/chat/a", json!({ "message": "x", "sessionId": "b:c" })).await,
        world.post("/api/chat/a/interrupt", json!({ "sessionId": "b:c" })).await,
    ];
    for answer in refused {
        assert_eq!(answer.refusal(), (400, "invalid_agent_id"));
    }
}

#[tokio::test]
async fn a_get_never_makes_an_agent() {
    let world = World::new();
    for path in ["", "/messages", "/events", "/todos", "/approvals"] {
        let answer = world.get(&format!("/api/agents/nobody{path}")).await;
        assert_eq!(answer.refusal(), (404, "agent_not_found"), "{path}");
    }
    let status = world.get("/api/agents/nobody/status").await;
    let fresh = (&status.json["state"], &status.json["stepCount"], &status.json["lastSfpIndex"]);
    assert_eq!(fresh, (&json!("READY"), &json!(0), &json!(-1)));
    drop(world.listen("/api/agents/nobody/stream").await);
    assert_eq!(world.get("/api/agents/nobody/stream?since=0").await.refusal(), (404, "agent_not_found"));
    assert_eq!(world.get("/api/agents").await.json, json!({ "agents": [] }));
    assert_eq!(world.pool.stats().resident, 0);
}

#[tokio::test]
async fn only_a_message_makes_an_agent() {
    let world = World::new();
    let refused = [
        world.post("/api/agents/nobody/approve", json!({ "callId": "c", "decision": "allow" })).await,
        world.post("/api/agents/nobody/interrupt", json!({})).await,
        world.put("/api/agents/nobody/todos", json!({ "todos": [] })).await,
        world.delete("/api/agents/nobody").await,
    ];
    for answer in refused {
        assert_eq!(answer.refusal(), (404, "agent_not_found"));
    }
    assert_eq!(world.get("/api/agents").await.json, json!({ "agents": [] }));
}
