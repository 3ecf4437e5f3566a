//! Messages: durable, once, in the way that was asked for.

use futures_util::future::join_all;
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::world::{Answer, Frame, Listener, World, kinds, request, settle};

#[tokio::test]
async fn g1_a_202_names_the_message_and_the_cursor_from_which_all_that_it_causes_is_shown() {
    let world = World::new();
    world.turn("a", "before").await;
    let queued = world.post("/api/agents/a/messages", json!({ "text": "hello" })).await;
    assert_eq!(queued.status, 202);
    let (message, cursor) = (&queued.json["messageId"], &queued.json["cursor"]);
    assert_eq!(
        queued.json,
        json!({ "status": "queued", "agentId": "a", "messageId": message, "cursor": cursor })
    );
    let events = world.listen(&format!("/api/agents/a/stream?since={cursor}")).await.rest().await;
    assert_eq!(events.first().unwrap().data["event"]["state"], "WORKING");
    let done = events.last().unwrap();
    assert_eq!((done.kind(), &done.data["event"]["messageIds"]), ("done", &json!([message])));
}

#[tokio::test]
async fn content_blocks_and_prompts_are_messages_too() {
    let world = World::new();
    let blocks = json!([{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }]);
    world.post("/api/agents/a/messages", json!({ "content": blocks, "metadata": { "from": "ann" } })).await;
    let prompted = world.post("/api/agents/b/stream", json!({ "prompt": "three" })).await;
    assert_eq!((prompted.status.as_u16(), &prompted.json["status"]), (202, &json!("queued")));
    let first = world.get("/api/agents/a/messages").await.json["messages"][0].clone();
    assert_eq!((&first["content"], &first["metadata"]), (&blocks, &json!({ "from": "ann" })));
    let first = world.get("/api/agents/b/messages").await.json["messages"][0].clone();
    assert_eq!(first["content"], json!([{ "type": "text", "text": "three" }]));
}

#[tokio::test]
async fn g1_a_repeat_also_a_racing_one_gets_the_first_answer_and_queues_nothing() {
    let world = World::held(10);
    let key = [("idempotency-key", "k 1")];
    let path = "/api/agents/a/messages";
    let racing =
        join_all((0..10).map(|_| world.post_with(path, &key, json!({ "text": "hello", "mode": "queue" }))));
    let answers = racing.await;
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.json == answers[0].json));
    let spaced = Request::spaced(path, "{ \"mode\":\"queue\",\n\"text\":\"hello\" }");
    let spaced = crate::world::Answer::of(world.send(spaced).await).await;
    assert_eq!(spaced.json, answers[0].json, "the same body in other white space");
    let other = world.post_with(path, &key, json!({ "text": "bye" })).await;
    assert_eq!(other.refusal(), (422, "idempotency_key_reused"));
    world.gate.open();
    let cursor = &answers[0].json["cursor"];
    world.listen(&format!("/api/agents/a/stream?since={cursor}")).await.rest().await;
    assert_eq!(world.model.requests().len(), 1);
    let bad = ["", "ü", &"k".repeat(256)];
    for key in bad {
        let answer = world.post_with(path, &[("idempotency-key", key)], json!({ "text": "x" })).await;
        assert_eq!(answer.refusal(), (400, "invalid_idempotency_key"), "{key:?}");
    }
}

struct Request;

impl Request {
    fn spaced(path: &str, body: &str) -> axum::http::Request<axum::body::Body> {
        let request = axum::http::Request::post(path).header("content-type", "application/json");
        request.header("idempotency-key", "k 1").body(body.to_owned().into()).unwrap()
    }
}

#[tokio::test]
async fn each_mode_does_to_a_run_what_it_says() {
    let world = World::held(10);
    let send =
        async |mode: &str| world.post("/api/agents/a/messages", json!({ "text": mode, "mode": mode })).await;
    let first = send("reject").await;
    assert_eq!(first.status, 202, "at rest there is nothing to reject for");
    world.gate.arrived().await;
    assert_eq!(send("reject").await.refusal(), (409, "agent_busy"));
    assert_eq!(send("queue").await.status, 202);
    let stream = world.listen(&format!("/api/agents/a/stream?since={}", first.json["cursor"])).await;
    assert_eq!(send("interrupt").await.status, 202);
    world.gate.open();
    let dones: Vec<Value> =
        stream.rest().await.into_iter().filter(|f| f.kind() == "done").map(|f| f.data).collect();
    let reasons: Vec<&Value> = dones.iter().map(|done| &done["event"]["reason"]).collect();
    assert_eq!(reasons, ["interrupted", "completed"]);
    assert_eq!(
        dones[1]["event"]["messageIds"].as_array().unwrap().len(),
        2,
        "those that waited run together"
    );
}

#[tokio::test]
async fn whoever_accepts_a_stream_gets_that_of_the_message_up_to_its_own_done() {
    let world = World::held(10);
    let accept = [("accept", "text/event-stream")];
    let post = async |text: &str| {
        let body = Some(json!({ "text": text }));
        let response =
            world.send(request(axum::http::Method::POST, "/api/agents/a/messages", &accept, body)).await;
        assert_eq!(response.status(), 200);
        Listener::of(response)
    };
    let first = post("one").await;
    world.gate.arrived().await;
    let second = post("two").await;
    assert_eq!(first.headers["content-type"], "text/event-stream; charset=utf-8");
    world.gate.open();
    let (first, second) = (first.rest().await, second.rest().await);
    let dones = |frames: &[Frame]| frames.iter().filter(|f| f.kind() == "done").count();
    assert_eq!((dones(&first), dones(&second)), (1, 2), "the second's shows the turn that it waited for");
    assert_eq!(first.last().unwrap().data["event"]["messageIds"], json!(["msg_1"]));
    assert_eq!(second.last().unwrap().data["event"]["messageIds"], json!(["msg_2"]));
}

#[tokio::test]
async fn g4_whoever_lost_a_messages_stream_posts_it_again_and_gets_what_is_left_of_it() {
    let world = World::held(10);
    let path = "/api/agents/a/messages";
    let post = async |seen: &str| {
        let headers = [("accept", "text/event-stream"), ("idempotency-key", "k"), ("last-event-id", seen)];
        let body = Some(json!({ "text": "one" }));
        world.send(request(axum::http::Method::POST, path, &headers, body)).await
    };
    let mut lost = Listener::of(post("").await);
    let mut seen = vec![lost.next().await.unwrap().id];
    world.gate.arrived().await;
    let again = Listener::of(post(&seen[0].to_string()).await);
    world.gate.open();
    seen.extend(again.rest().await.iter().map(|frame| frame.id));
    let all = Listener::of(post("").await).rest().await;
    let ids: Vec<u64> = all.iter().map(|frame| frame.id).collect();
    assert_eq!(ids[ids.iter().position(|id| *id == seen[0]).unwrap()..], seen, "none twice, none missing");

    // Whoever has seen the end is told so, also when the agent has gone on since.
    let (last, before) = (ids[ids.len() - 1].to_string(), ids[ids.len() - 2].to_string());
    world.turn("a", "two").await;
    assert_eq!(post(&last).await.status(), 204);
    assert_eq!(Listener::of(post(&before).await).rest().await, all[all.len() - 1..]);
    assert_eq!(Answer::of(post("x").await).await.refusal(), (400, "invalid_cursor"));
    assert_eq!(Answer::of(post(&u64::MAX.to_string()).await).await.refusal(), (400, "cursor_from_future"));
    assert_eq!(world.get(path).await.json["messages"].as_array().unwrap().len(), 4, "it was sent once");
}

#[tokio::test]
async fn the_history_is_read_page_by_page_after_a_message_or_a_seq() {
    let world = World::new();
    for text in ["one", "two", "three"] {
        world.turn("a", text).await;
    }
    let page = async |query: &str| world.get(&format!("/api/agents/a/messages{query}")).await.json;
    let texts = |page: &Value| -> Vec<String> {
        let text = |m: &Value| m["content"][0]["text"].as_str().unwrap().to_owned();
        page["messages"].as_array().unwrap().iter().map(text).collect()
    };
    let first = page("?limit=2").await;
    assert_eq!(texts(&first), ["one", "ok"]);
    let second = page(&format!("?limit=3&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(texts(&second), ["two", "ok", "three"]);
    let seq = &second["messages"][1]["seq"];
    let third = page(&format!("?after={seq}")).await;
    assert_eq!((texts(&third), third.get("next")), (vec!["three".to_owned(), "ok".to_owned()], None));
    assert_eq!(world.get("/api/agents/a/messages?after=nobody").await.refusal(), (400, "invalid_query"));
    let message = &first["messages"][1];
    let (at, seq) = (&message["createdAt"], &message["seq"]);
    let shape = json!({ "id": "answer_1", "role": "assistant", "content": [{ "type": "text", "text": "ok" }], "createdAt": at, "seq": seq });
    assert_eq!(message, &shape);
}

#[tokio::test]
async fn a_tool_and_a_model_that_panic_spoil_a_call_and_a_turn_and_nothing_else() {
    let scripts = [
        Script::new().call("broken", json!({})),
        Script::new().text("never mind"),
        Script::new().panic(),
        Script::new().text("well again"),
    ];
    let world = World::playing(scripts);
    let events = async |text: &str| {
        let cursor = world.turn("a", text).await;
        world.listen(&format!("/api/agents/a/stream?since={cursor}")).await.rest().await
    };
    let spoilt = events("one").await;
    assert!(kinds(&spoilt).contains(&"tool:error"));
    assert_eq!(spoilt.last().unwrap().data["event"]["reason"], "completed");
    assert_eq!(events("two").await.last().unwrap().data["event"]["reason"], "failed");
    assert_eq!(events("three").await.last().unwrap().data["event"]["reason"], "completed");
    settle().await;
}
