//! Tickets for streams, and what becomes of a stream whose opener may no longer read.

use std::time::Duration;

use axum::http::Method;
use kode_server::auth::Rights;
use serde_json::{Value, json};

use crate::auth::{ADMIN, ONE, TWO, guarded, key, keys, token};
use crate::world::{Answer, Listener, World, request, settle};

async fn ticket(world: &World, held: &str, agent: &str) -> String {
    let issued = world.post_as(held, "/api/stream-tickets", json!({ "agentId": agent })).await;
    assert_eq!((issued.status.as_u16(), &issued.json["expiresInSeconds"]), (201, &json!(60)));
    issued.json["ticket"].as_str().unwrap().to_owned()
}

async fn open(world: &World, path: &str) -> u16 {
    world.send(request(Method::GET, path, &[], None)).await.status().as_u16()
}

#[tokio::test]
async fn a_ticket_reads_one_agents_stream_and_does_nothing_else() {
    let world = guarded(World::new());
    for id in ["user:1", "user:1:session:a", "user:2"] {
        world.post_as(ADMIN, "/api/agents", json!({ "agentId": id })).await;
    }
    let ticket = ticket(&world, ONE, "user:1").await;
    let with = |path: &str| format!("{path}{}ticket={ticket}", if path.contains('?') { "&" } else { "?" });
    assert_eq!(open(&world, &with("/api/agents/user:1/stream?follow=true")).await, 200);
    assert_eq!(open(&world, &with("/api/chat/1/stream")).await, 200);
    for other in [
        "/api/agents/user:2/stream",
        "/api/agents/user:1:session:a/stream",
        "/api/chat/1/stream?sessionId=a",
        "/api/chat/2/stream",
    ] {
        assert_eq!(open(&world, &with(other)).await, 404, "{other}");
    }
    for elsewhere in
        ["/api/agents/user:1", "/api/agents", "/api/agents/user:1/events", "/api/metrics", "/api/approvals"]
    {
        let refused = world.get(&with(elsewhere)).await;
        assert_eq!(refused.refusal(), (401, "unauthorized"), "{elsewhere}");
    }
    let post = world.post(&with("/api/agents/user:1/stream"), json!({ "prompt": "x" })).await;
    assert_eq!(post.refusal(), (401, "unauthorized"));
    let more = world.post(&with("/api/stream-tickets"), json!({ "agentId": "user:1" })).await;
    assert_eq!(more.refusal(), (401, "unauthorized"));
    let held = world.get_as(&ticket, "/api/agents/user:1").await;
    assert_eq!(held.refusal(), (401, "unauthorized"), "it is no key");
}

#[tokio::test]
async fn a_ticket_is_given_for_what_the_caller_reaches_and_asks_no_agent() {
    let world = guarded(World::new());
    let refused = world.post_as(ONE, "/api/stream-tickets", json!({ "agentId": "user:2" })).await;
    assert_eq!(refused.refusal(), (404, "agent_not_found"));
    let wrong = world.post_as(ONE, "/api/stream-tickets", json!({ "agentId": "../x" })).await;
    assert_eq!(wrong.refusal(), (400, "invalid_agent_id"));
    let ticket = ticket(&world, ONE, "user:1:not:yet").await;
    assert_eq!(ticket.len(), 64);
    assert_eq!(open(&world, &format!("/api/agents/user:1:not:yet/stream?ticket={ticket}")).await, 200);
    assert_eq!(world.get_as(ONE, "/api/agents").await.json, json!({ "agents": [] }));
    assert_eq!(open(&world, "/api/agents/user:1/stream").await, 401);
    assert_eq!(open(&world, "/api/agents/user:1/stream?ticket=").await, 401);
    assert_eq!(open(&world, "/api/agents/user:1/stream?ticket=00").await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_ends_with_its_minute_or_its_openings() {
    let world = guarded(World::new());
    let path = |ticket: &str| format!("/api/agents/user:1/stream?ticket={ticket}");
    let first = ticket(&world, ONE, "user:1").await;
    tokio::time::advance(Duration::from_secs(59)).await;
    for _ in 0..8 {
        assert_eq!(open(&world, &path(&first)).await, 200, "a browser opens it again by itself");
    }
    assert_eq!(open(&world, &path(&first)).await, 401);
    let second = ticket(&world, ONE, "user:1").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(open(&world, &path(&second)).await, 401);
}

#[tokio::test(start_paused = true)]
async fn tickets_of_one_caller_are_bounded_and_no_matter_to_others() {
    let world = guarded(World::new());
    for _ in 0..256 {
        ticket(&world, ONE, "user:1").await;
    }
    let refused = world.post_as(ONE, "/api/stream-tickets", json!({ "agentId": "user:1" })).await;
    assert_eq!(refused.refusal(), (429, "too_many_tickets"));
    assert_eq!(refused.headers["retry-after"], "60");
    ticket(&world, TWO, "user:2").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    ticket(&world, ONE, "user:1").await;
}

#[tokio::test]
async fn where_nobody_is_asked_tickets_are_given_and_not_looked_at() {
    let world = World::new();
    let issued = world.post("/api/stream-tickets", json!({ "agentId": "a" })).await;
    assert_eq!(issued.status, 201);
    assert_eq!(open(&world, "/api/agents/a/stream?ticket=whatever").await, 200);
}

async fn following(world: &World, held: &str) -> Listener {
    let bearer = format!("Bearer {held}");
    let headers = [("authorization", bearer.as_str())];
    let path = "/api/agents/user:1/stream?follow=true";
    Listener::of(world.send(request(Method::GET, path, &headers, None)).await)
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_dead_at_once_and_so_are_its_tickets_and_streams() {
    let world = guarded(World::new());
    world.post_as(ONE, "/api/agents", json!({ "agentId": "user:1" })).await;
    let ticket = ticket(&world, ONE, "user:1").await;
    let (mut mine, mut others) = (following(&world, ONE).await, following(&world, ADMIN).await);
    let left: Vec<_> = keys().into_iter().filter(|key| key.name != "one").collect();
    world.config.auth.replace_keys(left);
    assert_eq!(world.get_as(ONE, "/api/agents").await.refusal(), (401, "unauthorized"));
    assert_eq!(open(&world, &format!("/api/agents/user:1/stream?ticket={ticket}")).await, 401);
    world.post_as(ADMIN, "/api/agents/user:1/messages", json!({ "text": "after" })).await;
    assert!(mine.next().await.is_none(), "it is told nothing more");
    assert!(others.next().await.is_some());
    // A key of the same name that reaches less is another key.
    let mut narrowed = keys();
    narrowed[2] = key("admin", ADMIN, &["user:1"], Rights::default());
    world.config.auth.replace_keys(narrowed);
    world.post_as(ONE, "/api/agents/user:1/messages", json!({ "text": "more" })).await;
    settle().await;
    let mut rest = 0;
    while others.next().await.is_some() {
        rest += 1;
        assert!(rest < 100, "the stream goes on");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let mut world = guarded(World::new());
    world.config.heartbeat = Duration::from_millis(50);
    let short = crate::auth::signed(&json!({ "sub": "1", "exp": crate::auth::now() + 1 }));
    let mut stream = following(&world, &short).await;
    let ended = async { while stream.block().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends within a heartbeat");
    let long = token("1");
    let answer: Answer = world.get_as(&long, "/api/agents").await;
    assert_ne!(answer.json, Value::Null);
}
