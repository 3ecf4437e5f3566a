//! Server-sent events: what a stream begins with, shows, and ends with.

use std::time::Duration;

use axum::http::Method;
use kode_testkit::scripted_model::{Gate, Script};
use serde_json::json;

use crate::world::{Answer, Frame, LONG, Listener, World, kinds, request};

fn ids(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.id).collect()
}

fn dones(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind() == "done").count()
}

async fn reconnect(world: &World, path: &str, id: u64) -> axum::response::Response {
    world.send(request(Method::GET, path, &[("last-event-id", &id.to_string())], None)).await
}

#[tokio::test]
async fn the_headers_are_those_that_browsers_and_proxies_need() {
    let world = World::new();
    let stream = world.listen("/api/agents/a/stream").await;
    let header = |name: &str| stream.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(header("cache-control"), "no-cache, no-transform");
    assert_eq!(header("x-accel-buffering"), "no");
    assert!(!stream.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn a_stream_of_a_fresh_agent_waits_for_its_first_run_and_ends_with_it() {
    let world = World::new();
    let mut stream = world.listen("/api/agents/a/stream").await;
    assert!(stream.is_silent().await);
    world.turn("a", "hello").await;
    let told = stream.rest().await;
    assert_eq!(
        kinds(&told),
        [
            "agent_created",
            "state_changed",
            "breakpoint_changed",
            "breakpoint_changed",
            "text_chunk_start",
            "text_chunk",
            "text_chunk_end",
            "token_usage",
            "step_complete",
            "state_changed",
            "breakpoint_changed",
            "done",
        ]
    );
}

#[tokio::test]
async fn without_a_cursor_a_run_under_way_is_shown_from_its_beginning_and_an_idle_agent_live() {
    let (first, second) = (Gate::default(), Gate::default());
    let world = World::playing([
        Script::new().text("old"),
        Script::new().text("one ").hold(&first).text("two"),
        Script::new().hold(&second).text("three"),
    ]);
    world.turn("a", "before").await;
    let mut idle = world.listen("/api/agents/a/stream").await;
    assert!(idle.is_silent().await, "what is over is not shown again");
    world.post("/api/agents/a/messages", json!({ "text": "go" })).await;
    first.arrived().await;
    let mut late = world.listen("/api/agents/a/stream").await;
    for stream in [&mut idle, &mut late] {
        assert_eq!(stream.next().await.unwrap().data["event"]["state"], "WORKING");
        assert_eq!(stream.next_of("text_chunk").await.data["event"]["delta"], "one ");
        assert!(stream.is_silent().await);
    }
    first.open();
    assert_eq!(idle.rest().await, late.rest().await);
}

#[tokio::test]
async fn g4_a_replay_shows_every_turn_once_and_ends_with_the_last() {
    let world = World::new();
    for text in ["one", "two", "three"] {
        world.turn("a", text).await;
    }
    let all = world.listen("/api/agents/a/stream?since=0").await.rest().await;
    assert_eq!(dones(&all), 3);
    assert!(ids(&all).is_sorted_by(|a, b| a < b));
    for (at, frame) in all.iter().enumerate().take(all.len() - 1) {
        let rest = world.listen(&format!("/api/agents/a/stream?since={}", frame.id)).await.rest().await;
        assert_eq!(rest, all[at + 1..]);
    }
}

#[tokio::test]
async fn a_replay_over_what_follows_the_last_run_still_ends_with_its_done() {
    let world = World::new();
    world.turn("a", "one").await;
    world.put("/api/agents/a/todos", json!({ "todos": [] })).await;
    let told = world.listen("/api/agents/a/stream?since=0").await.rest().await;
    assert_eq!((told.last().unwrap().kind(), dones(&told)), ("done", 1));
}

#[tokio::test]
async fn a_stream_goes_on_over_dones_while_messages_wait_and_with_follow_for_ever() {
    let world = World::held(10);
    let first = world.post("/api/agents/a/messages", json!({ "text": "one" })).await;
    world.gate.arrived().await;
    world.post("/api/agents/a/messages", json!({ "text": "two" })).await;
    let path = format!("/api/agents/a/stream?since={}", first.json["cursor"]);
    let (plain, mut following) =
        (world.listen(&path).await, world.listen(&format!("{path}&follow=true")).await);
    world.gate.open();
    assert_eq!(dones(&plain.rest().await), 2);
    following.next_of("done").await;
    following.next_of("done").await;
    assert!(following.is_silent().await);
    world.turn("a", "three").await;
    following.next_of("done").await;
    assert!(following.is_silent().await);
}

#[tokio::test]
async fn a_browser_that_has_seen_the_end_is_told_to_stop_and_one_that_has_not_gets_the_rest() {
    let world = World::new();
    world.turn("a", "one").await;
    let path = "/api/agents/a/stream";
    let all = world.listen(&format!("{path}?since=0")).await.rest().await;
    let last = all.last().unwrap().id;
    let over = reconnect(&world, path, last).await;
    assert_eq!(over.status(), 204);
    assert_eq!(Answer::of(over).await.json, json!(null));
    let before = reconnect(&world, path, all[all.len() - 2].id).await;
    assert_eq!(Listener::of(before).rest().await, all[all.len() - 1..]);
    let both = reconnect(&world, &format!("{path}?since=0"), last).await;
    assert_eq!(both.status(), 204, "the header wins over the query");

    world.put("/api/agents/a/todos", json!({ "todos": [] })).await;
    assert_eq!(reconnect(&world, path, last).await.status(), 204, "what came after the end is no run");
    assert_eq!(reconnect(&world, &format!("{path}?follow=true"), last).await.status(), 200);
    let mut bare = world.listen(&format!("{path}?since={last}")).await;
    assert_eq!(bare.next().await.unwrap().kind(), "todo_changed");
    assert!(bare.is_silent().await, "a bare since waits for the next run");
    world.turn("a", "two").await;
    assert_eq!(dones(&bare.rest().await), 1);
}

#[tokio::test]
async fn a_browser_that_watches_a_channel_without_dones_is_told_to_stop_too() {
    let world = World::new();
    world.turn("a", "one").await;
    let path = "/api/agents/a/stream?channels=monitor";
    let shown = world.listen(&format!("{path}&since=0")).await.rest().await;
    assert_eq!(shown.last().unwrap().kind(), "breakpoint_changed");
    assert_eq!(reconnect(&world, path, shown.last().unwrap().id).await.status(), 204);
    let again = reconnect(&world, path, shown[shown.len() - 2].id).await;
    assert_eq!(Listener::of(again).rest().await, shown[shown.len() - 1..]);
}

#[tokio::test]
async fn a_browser_that_waits_for_a_first_run_may_reconnect() {
    let world = World::new();
    world.post("/api/agents", json!({ "agentId": "a" })).await;
    let head = world.get("/api/agents/a/status").await.json["cursor"].as_u64().unwrap();
    assert_eq!(reconnect(&world, "/api/agents/a/stream", head).await.status(), 200);
}

/// Scenario 5.
#[tokio::test]
async fn channels_are_what_was_asked_for() {
    let world = World::new();
    world.turn("a", "one").await;
    let told = world.listen("/api/agents/a/stream?since=0&channels=progress").await.rest().await;
    assert!(told.iter().all(|frame| frame.data["event"]["channel"] == "progress"));
    assert_eq!(kinds(&told), ["text_chunk_start", "text_chunk", "text_chunk_end", "done"]);
    let unknown = world.get("/api/agents/a/stream?channels=progress,gossip").await;
    assert_eq!(unknown.refusal(), (400, "invalid_query"));
}

#[tokio::test]
async fn a_cursor_from_the_future_or_no_cursor_at_all_is_refused() {
    let world = World::new();
    world.turn("a", "one").await;
    let head = world.get("/api/agents/a/status").await.json["cursor"].as_u64().unwrap();
    let path = "/api/agents/a/stream";
    for future in [head + 1, head + (1 << 24), u64::MAX] {
        let answer = world.get(&format!("{path}?since={future}")).await;
        assert_eq!(answer.refusal(), (400, "cursor_from_future"));
        assert_eq!(
            Answer::of(reconnect(&world, path, future).await).await.refusal(),
            (400, "cursor_from_future")
        );
    }
    for wrong in ["", "x", "-1", "1.5"] {
        assert_eq!(world.get(&format!("{path}?since={wrong}")).await.refusal(), (400, "invalid_cursor"));
    }
}

#[tokio::test]
async fn g4_a_cursor_in_a_tail_that_was_lost_goes_on_with_what_came_after() {
    let world = World::new();
    world.turn("a", "one").await;
    let head = world.get("/api/agents/a/status").await.json["cursor"].as_u64().unwrap();
    let agent = world.pool.get(&kode_core::id::AgentId::new("a").unwrap()).await.unwrap();
    assert!(agent.put_away(false).await);
    let mut lost = world.listen(&format!("/api/agents/a/stream?since={}", head + 5)).await;
    assert!(lost.is_silent().await);
    world.turn("a", "two").await;
    let told = lost.rest().await;
    assert_eq!((told[0].kind(), dones(&told)), ("agent_resumed", 1));
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_comments_and_by_nothing_else() {
    let world = World::new();
    let mut stream = world.listen("/api/agents/a/stream").await;
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(stream.block().await.as_deref(), Some(":"));
    }
    assert_eq!(began.elapsed(), Duration::from_secs(45));
}

#[tokio::test]
async fn closing_a_stream_never_stops_a_run_and_shutdown_ends_streams_only() {
    let mut world = World::held(10);
    world.config.heartbeat = LONG;
    world.post("/api/agents/a/messages", json!({ "text": "one" })).await;
    world.gate.arrived().await;
    drop(world.listen("/api/agents/a/stream").await);
    let open = world.listen("/api/agents/a/stream").await;
    world.shutdown.cancel();
    open.rest().await;
    world.gate.open();
    let agent = world.pool.get(&kode_core::id::AgentId::new("a").unwrap()).await.unwrap();
    while !agent.view().at_rest {
        tokio::task::yield_now().await;
    }
    assert_eq!(agent.view().transcript.len(), 2);
}
