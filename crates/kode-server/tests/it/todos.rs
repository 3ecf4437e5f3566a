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
