//! How much a key may do: refused before anything is made and before a model is asked.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use kode_core::message::Usage;
use kode_server::auth::{ApiKey, Auth, Limits, Rights};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::auth::{ADMIN, key, keys, token};
use crate::world::World;

fn limited(limits: Limits) -> Auth {
    let one = ApiKey { limits, ..key("limited", "kode_limited", &["user:1"], Rights::default()) };
    let jwt = kode_server::auth::Jwt::hs256(&crate::auth::SECRET.into(), None).unwrap();
    Auth::new(keys().into_iter().chain([one]).collect(), Some(jwt))
}

fn say() -> serde_json::Value {
    json!({ "text": "x" })
}

#[tokio::test(start_paused = true)]
async fn requests_flow_in_over_the_minute() {
    let mut world = World::new();
    world.config.auth = limited(Limits { requests_per_minute: NonZeroU32::new(3), ..Limits::default() });
    for _ in 0..3 {
        assert_eq!(world.get_as("kode_limited", "/api/agents").await.status, 200);
    }
    let refused = world.post_as("kode_limited", "/api/agents/user:1/messages", say()).await;
    assert_eq!(refused.refusal(), (429, "rate_limited"));
    assert_eq!(refused.headers["retry-after"], "20");
    assert_eq!(world.pool.stats().resident, 0);
    assert_eq!(world.get_as(ADMIN, "/api/agents").await.json, json!({ "agents": [] }));
    assert_eq!(world.get_as(&token("1"), "/api/agents").await.status, 200, "a key's limits are the key's");
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(world.get_as("kode_limited", "/api/agents").await.status, 200);
    assert_eq!(world.get_as("kode_limited", "/api/agents").await.refusal().0, 429);
}

#[tokio::test]
async fn no_more_agents_are_made_than_there_may_be_whoever_made_them_and_over_a_restart() {
    let mut world = World::new();
    let limits = Limits { agents: NonZeroUsize::new(2), ..Limits::default() };
    world.config.auth = limited(limits);
    world.post_as(ADMIN, "/api/agents", json!({ "agentId": "user:1" })).await;
    world.post_as(ADMIN, "/api/agents", json!({ "agentId": "user:2" })).await;
    let made = world.post_as("kode_limited", "/api/agents", json!({ "agentId": "user:1:a" })).await;
    assert_eq!(made.status, 201);
    world.start_again();
    world.config.auth = limited(limits);
    let more = [
        ("/api/agents", json!({ "agentId": "user:1:b" })),
        ("/api/agents", json!({})),
        ("/api/agents/user:1:b/messages", say()),
        ("/api/agents/user:1:b/stream", json!({ "prompt": "x" })),
        ("/api/chat/1", json!({ "message": "x", "sessionId": "b" })),
        ("/api/agents/user:1/fork", json!({ "workspace": "empty" })),
    ];
    for (path, body) in more {
        let refused = world.post_as("kode_limited", path, body).await;
        assert_eq!(refused.refusal(), (429, "too_many_agents"), "{path}");
        assert_eq!(refused.headers["retry-after"], "60");
    }
    assert_eq!(world.pool.stats().resident, 0, "nothing was taken up for it");
    assert_eq!(
        world.post_as("kode_limited", "/api/agents", json!({ "agentId": "user:1:a" })).await.status,
        200
    );
    assert_eq!(world.post_as("kode_limited", "/api/agents/user:1/messages", say()).await.status, 202);
    let delete = world.call("kode_limited", axum::http::Method::DELETE, "/api/agents/user:1:a", None).await;
    assert_eq!(delete.status, 204);
    assert_eq!(world.post_as("kode_limited", "/api/agents/user:1:b/messages", say()).await.status, 202);
}

#[tokio::test]
async fn of_two_that_race_for_the_last_place_one_gets_it() {
    let mut world = World::new();
    world.config.auth = limited(Limits { agents: NonZeroUsize::new(1), ..Limits::default() });
    let make = |n: u32| {
        let world = &world;
        async move {
            let body = json!({ "agentId": format!("user:1:{n}") });
            world.post_as("kode_limited", "/api/agents", body).await.status.as_u16()
        }
    };
    let (a, b, c) = tokio::join!(make(1), make(2), make(3));
    let mut told = [a, b, c];
    told.sort_unstable();
    assert_eq!(told, [201, 429, 429]);
}

#[tokio::test]
async fn no_more_runs_are_under_way_than_there_may_be_and_the_model_is_not_asked() {
    let mut world = World::held(10);
    world.config.auth = limited(Limits { runs: NonZeroUsize::new(1), ..Limits::default() });
    world.post_as(ADMIN, "/api/agents/user:2/messages", say()).await;
    assert_eq!(world.post_as("kode_limited", "/api/agents/user:1/messages", say()).await.status, 202);
    let asked = world.model.requests().len();
    let refused = world.post_as("kode_limited", "/api/agents/user:1:b/messages", say()).await;
    assert_eq!(refused.refusal(), (429, "too_many_runs"));
    assert_eq!(refused.headers["retry-after"], "5");
    assert_eq!(world.get_as(ADMIN, "/api/agents/user:1:b").await.refusal(), (404, "agent_not_found"));
    assert!(world.model.requests().len() <= asked + 1, "only the run that was let in");
    assert_eq!(
        world.post_as("kode_limited", "/api/agents/user:1/messages", say()).await.status,
        202,
        "one more message to the run under way starts no other"
    );
    world.gate.open();
    loop {
        if world.post_as("kode_limited", "/api/agents/user:1:b/messages", say()).await.status == 202 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_that_waits_for_a_person_is_not_at_work() {
    let mut world = World::playing([Script::new().call("slow", json!({})), Script::new().text("ok")]);
    world.config.auth = limited(Limits { runs: NonZeroUsize::new(1), ..Limits::default() });
    let careful = json!({ "text": "x", "templateId": "careful" });
    world.post_as("kode_limited", "/api/agents/user:1/messages", careful).await;
    while world.get_as(ADMIN, "/api/agents/user:1/status").await.json["state"] != "PAUSED" {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.post_as("kode_limited", "/api/agents/user:1:b/messages", say()).await.status, 202);
}

#[tokio::test]
async fn tokens_of_a_day_are_counted_over_restarts_and_begin_anew_at_midnight() {
    let limits = Limits { tokens_per_day: NonZeroU64::new(30), ..Limits::default() };
    let usage = Usage { input_tokens: 12, output_tokens: 4, total_tokens: 16, ..Usage::default() };
    let script = || Script::new().text("ok").usage(usage);
    let mut world = World::counting(limited(limits), (0..9).map(|_| script()));
    let say_as = async |world: &World, key: &str, agent: &str| {
        let accept = [("authorization", format!("Bearer {key}")), ("accept", "text/event-stream".into())];
        let headers: Vec<_> = accept.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("/api/agents/{agent}/messages");
        world.send(crate::world::request(axum::http::Method::POST, &path, &headers, Some(say()))).await
    };
    // Another's tokens are not the key's; those of its agents are, whoever asked for them.
    for (key, agent) in [(ADMIN, "user:2"), (ADMIN, "user:1"), ("kode_limited", "user:1:a")] {
        let answer = say_as(&world, key, agent).await;
        assert_eq!(answer.status(), 200);
        axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    }
    for round in 0..2 {
        let asked = world.model.requests().len();
        for (path, body) in [
            ("/api/agents/user:1/messages", say()),
            ("/api/agents/user:1:new/messages", say()),
            ("/api/chat/1", json!({ "message": "x" })),
            ("/api/agents/user:1/stream", json!({ "prompt": "x" })),
        ] {
            let refused = world.post_as("kode_limited", path, body).await;
            assert_eq!(refused.refusal(), (429, "tokens_spent"), "{path} in round {round}");
            let now = kode_core::clock::Clock::now(&*world.clock);
            let left = (86_400_000 - now % 86_400_000).div_ceil(1_000);
            assert_eq!(refused.headers["retry-after"], left.to_string());
        }
        assert_eq!(world.model.requests().len(), asked, "the model is not asked");
        assert_eq!(world.get_as("kode_limited", "/api/agents/user:1").await.status, 200, "reading is free");
        assert_eq!(world.get_as(ADMIN, "/api/agents/user:1:new").await.status, 404, "nothing was made");
        assert_eq!(say_as(&world, ADMIN, "user:2").await.status(), 200, "the limit is the key's alone");
        world.start_again();
    }
    let now = kode_core::clock::Clock::now(&*world.clock);
    world.clock.advance(86_400_000 - now % 86_400_000);
    assert_eq!(say_as(&world, "kode_limited", "user:1").await.status(), 200, "a new day");
}

#[tokio::test]
async fn what_keys_spend_is_told_to_each_its_own_and_to_an_administrator_all_of_it() {
    let usage =
        Usage { input_tokens: 12, output_tokens: 4, total_tokens: 16, cost_micros: 700, ..Usage::default() };
    let script = || Script::new().text("ok").usage(usage);
    let mut world = World::counting(limited(Limits::default()), (0..9).map(|_| script()));
    let spent = async |world: &World, key: &str, day: usize| {
        let told = world.get_as(key, "/api/usage").await;
        assert_eq!(told.status, 200, "{}", told.json);
        let keys = told.json["days"][day]["keys"].as_array().unwrap().clone();
        let row = |row: &serde_json::Value| {
            (
                row["name"].as_str().unwrap().to_owned(),
                row["tokens"].as_u64().unwrap(),
                row["costMicros"].as_u64().unwrap(),
            )
        };
        keys.iter().map(row).collect::<Vec<_>>()
    };
    for (key, agent) in [(ADMIN, "user:2"), ("kode_limited", "user:1"), (ADMIN, "user:1:a")] {
        let accept = [("authorization", format!("Bearer {key}")), ("accept", "text/event-stream".into())];
        let headers: Vec<_> = accept.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("/api/agents/{agent}/messages");
        let asked = crate::world::request(axum::http::Method::POST, &path, &headers, Some(say()));
        axum::body::to_bytes(world.send(asked).await.into_body(), 1 << 20).await.unwrap();
    }
    for _ in 0..2 {
        // Those of agents under its prefixes, whoever asked for them.
        assert_eq!(spent(&world, "kode_limited", 0).await, [("limited".to_owned(), 32, 1_400)]);
        let all = spent(&world, ADMIN, 0).await;
        assert!(all.contains(&("limited".to_owned(), 32, 1_400)) && all.len() > 2, "{all:?}");
        assert!(all.iter().any(|(_, tokens, cost)| (*tokens, *cost) == (48, 2_100)), "{all:?}");
        assert_eq!(spent(&world, &token("1"), 0).await, [], "a token is no key");
        world.start_again();
    }
    let now = kode_core::clock::Clock::now(&*world.clock);
    world.clock.advance(86_400_000 - now % 86_400_000);
    assert_eq!(spent(&world, "kode_limited", 0).await, [("limited".to_owned(), 0, 0)]);
    assert_eq!(spent(&world, "kode_limited", 1).await, [("limited".to_owned(), 32, 1_400)], "yesterday");
}
