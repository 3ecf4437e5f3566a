//! The todo list over HTTP.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_list_is_replaced_as_a_whole_against_the_version_that_was_read() {
    let world = World::new();
    world.turn("a", "hello").await;
    assert_eq!(world.get("/api/agents/a/todos").await.json, json!({ "todos": [], "version": 0 }));
    let todo = json!({ "id": "1", "title": "look", "status": "in_progress" });
    let set = world.put("/api/agents/a/todos", json!({ "todos": [todo], "version": 0 })).await;
    assert_eq!((set.status.as_u16(), &set.json), (200, &json!({ "todos": [todo], "version": 1 })));
    let late = world.put("/api/agents/a/todos", json!({ "todos": [], "version": 0 })).await;
    assert_eq!(late.refusal(), (409, "version_conflict"));
    for wrong in [
        json!({ "todos": [todo, todo] }),
        json!({ "todos": [{ "id": "1", "title": "look", "status": "soon" }] }),
        json!({ "todos": [{ "id": "1", "title": "look", "status": "pending", "prio": 1 }] }),
        json!({}),
    ] {
        assert_eq!(world.put("/api/agents/a/todos", wrong).await.refusal(), (422, "invalid_request"));
    }
    assert_eq!(world.get("/api/agents/a/todos").await.json, json!({ "todos": [todo], "version": 1 }));
    assert_eq!(world.put("/api/agents/a/todos", json!({ "todos": [] })).await.json["version"], 2);
}

/// Serde takes an array for the fields of a struct, in the order in which these happen to be declared.
#[tokio::test]
async fn an_array_is_no_object_in_any_body_at_any_depth() {
    let world = World::new();
    world.turn("a", "hello").await;
    for (method, path, body) in [
        ("PUT", "todos", json!({ "todos": [["1", "t", "pending"]] })),
        ("PUT", "todos", json!([[["1", "t", "pending"]]])),
        ("POST", "messages", json!({ "content": [["text", "hi"]] })),
        ("POST", "messages", json!(["hi"])),
        ("POST", "approve", json!(["call", "allow", null, null])),
        ("POST", "fork", json!([null, "b", "empty"])),
        ("POST", "snapshots", json!(["label"])),
        ("POST", "interrupt", json!(["note"])),
    ] {
        let path = format!("/api/agents/a/{path}");
        let answer =
            if method == "PUT" { world.put(&path, body).await } else { world.post(&path, body).await };
        assert_eq!(answer.refusal(), (422, "invalid_request"), "{path}");
    }
    let object =
        world.post("/api/agents/a/messages", json!({ "content": [{ "type": "text", "text": "hi" }] }));
    assert_eq!(object.await.status, 202);
    let other =
        world.post("/api/agents/a/messages", json!({ "content": [{ "type": "image", "text": "hi" }] }));
    assert_eq!(other.await.refusal(), (422, "invalid_request"));
}
