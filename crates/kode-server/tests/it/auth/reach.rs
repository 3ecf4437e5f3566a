//! What names other agents without being asked for: lists, lineages, forks, generated ids, deciders.

use kode_server::auth::{Auth, Right, Rights};
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::auth::{ADMIN, ONE, TWO, guarded, key, token};
use crate::world::{Listener, World, request};

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["agentId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_have_what_the_caller_reaches_in_pages_without_holes() {
    let mut world = World::new();
    for id in ["team:a", "team:a:x", "team:b", "user:1", "user:12", "user:1:session:s", "user:2"] {
        world.post("/api/agents", json!({ "agentId": id })).await;
    }
    let both = key("both", "kode_both", &["team:a", "user:1"], Rights::default());
    world.config.auth = Auth::new(vec![both], None);
    let page = async |query: &str| world.get_as("kode_both", &format!("/api/agents{query}")).await.json;
    assert_eq!(names(&page("").await["agents"]), ["team:a", "team:a:x", "user:1", "user:1:session:s"]);
    assert_eq!(names(&page("?prefix=team").await["agents"]), ["team:a", "team:a:x"]);
    assert_eq!(page("?prefix=team:b").await, json!({ "agents": [] }));
    assert_eq!(page("?prefix=user:12").await, json!({ "agents": [] }));
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(&format!("?limit=1{after}")).await;
        seen.extend(names(&page["agents"]).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ["team:a", "team:a:x", "user:1", "user:1:session:s"], "and no page is empty");
    assert_eq!(names(&page("?after=team:b").await["agents"]), ["user:1", "user:1:session:s"]);
}

#[tokio::test]
async fn a_fork_names_its_parent_only_to_those_who_reach_it() {
    let world = guarded(World::new());
    world.post_as(ADMIN, "/api/agents", json!({ "agentId": "user:2" })).await;
    let shared = json!({ "agentId": "user:1:copy", "workspace": "shared" });
    assert_eq!(world.post_as(ADMIN, "/api/agents/user:2/fork", shared).await.status, 201);
    world
        .post_as(
            ONE,
            "/api/agents/user:1:copy/fork",
            json!({ "agentId": "user:1:own", "workspace": "empty" }),
        )
        .await;

    let seen = async |held: &str| {
        let mut told = String::new();
        for path in ["", "/events?channels=monitor", "/status", "/messages", "/snapshots", "/forks", "/todos"]
        {
            for agent in ["user:1:copy", "user:1:own"] {
                told += &world.get_as(held, &format!("/api/agents/{agent}{path}")).await.json.to_string();
            }
        }
        told += &world.get_as(held, "/api/agents?prefix=user:1").await.json.to_string();
        let bearer = format!("Bearer {held}");
        let headers = [("authorization", bearer.as_str())];
        let path = "/api/agents/user:1:copy/stream?since=0&channels=monitor&follow=true";
        let stream = world.send(request(axum::http::Method::GET, path, &headers, None)).await;
        told + &Listener::of(stream).block().await.unwrap()
    };
    let (mine, all) = (seen(ONE).await, seen(ADMIN).await);
    assert!(!mine.contains("user:2"), "{mine}");
    assert!(mine.contains("agent_forked") && mine.contains("\"forkedFrom\":{\"agentId\":\"user:1:copy\""));
    assert!(all.matches("user:2").count() >= 6, "it is told to those who reach it: {all}");

    let into = world.post_as(ONE, "/api/agents/user:1:own/fork", json!({ "agentId": "user:2:x" })).await;
    assert_eq!(into.refusal(), (404, "agent_not_found"));
    assert_eq!(
        names(&world.get_as(ADMIN, "/api/agents/user:2/forks").await.json["forks"]),
        ["user:1:copy", "user:1:own"]
    );
    assert_eq!(world.get_as(TWO, "/api/agents/user:2/forks").await.json, json!({ "forks": [] }));
}

#[tokio::test]
async fn an_agent_without_a_name_gets_one_that_its_maker_reaches() {
    let mut world = guarded(World::new());
    let made = world.post_as(ONE, "/api/agents", json!({})).await.json["agentId"].clone();
    assert_eq!(made, "user:1:agent:n1");
    assert_eq!(world.get_as(ONE, "/api/agents/user:1:agent:n1").await.status, 200);
    assert_eq!(world.post_as(ADMIN, "/api/agents", json!({})).await.json["agentId"], "agent:n2");
    let long = format!("user:{}", "x".repeat(194));
    let deep = key("deep", "kode_deep", &[&long], Rights::default());
    let nothing = key("scraper", "kode_scraper", &[], [Right::Admin].into_iter().collect());
    world.config.auth = Auth::new(vec![deep, nothing], None);
    for held in ["kode_deep", "kode_scraper"] {
        assert_eq!(world.post_as(held, "/api/agents", json!({})).await.refusal(), (422, "agent_id_needed"));
    }
    assert_eq!(world.get_as("kode_scraper", "/api/metrics").await.status, 200);
    assert_eq!(world.get_as("kode_scraper", "/api/agents").await.json, json!({ "agents": [] }));
}

/// A fork of a fork whose name is too long gets one beside its parent, which lies above this key's prefix.
#[tokio::test]
async fn a_generated_name_beside_the_parent_is_not_given_to_one_who_does_not_reach_it() {
    let mut world = World::new();
    let parent = format!("{}:fork:{}", "p".repeat(150), "q".repeat(42));
    world.post("/api/agents", json!({ "agentId": parent })).await;
    world.config.auth = Auth::new(vec![key("k", "kode_k", &[&parent], Rights::default())], None);
    let fork =
        world.post_as("kode_k", &format!("/api/agents/{parent}/fork"), json!({ "workspace": "empty" })).await;
    assert_eq!(fork.refusal(), (422, "agent_id_needed"));
}

#[tokio::test]
async fn who_decided_and_who_interrupted_is_told_by_name() {
    let world = guarded(World::playing([Script::new().call("slow", json!({})), Script::new().text("done")]));
    world.gate.open();
    world.post_as(ONE, "/api/agents/user:1/messages", json!({ "text": "x", "templateId": "careful" })).await;
    let call = loop {
        let open = world.get_as(ONE, "/api/approvals").await.json;
        if let Some(call) = open["approvals"][0]["callId"].as_str() {
            break call.to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(world.get_as(TWO, "/api/approvals").await.json, json!({ "approvals": [] }));
    let decision = json!({ "callId": call, "decision": "allow" });
    let refused = world.post_as(TWO, "/api/agents/user:1/approve", decision.clone()).await;
    assert_eq!(refused.refusal(), (404, "agent_not_found"));
    assert_eq!(world.post_as(&token("1"), "/api/chat/1/approve", decision).await.status, 200);
    let events = world.get_as(ONE, "/api/agents/user:1/events?channels=control").await.json;
    assert_eq!(events["events"][1]["event"]["decidedBy"], "1", "the token's sub");
}

#[tokio::test]
async fn a_session_is_a_users_and_takes_the_user() {
    let mut world = World::new();
    world.post("/api/agents", json!({ "agentId": "user:1:session:a" })).await;
    let deep = key("deep", "kode_deep", &["user:1:session:a"], Rights::default());
    world.config.auth = Auth::new(vec![deep], None);
    assert_eq!(world.get_as("kode_deep", "/api/agents/user:1:session:a").await.status, 200);
    for path in ["/api/chat/1/status?sessionId=a", "/api/chat/1/status", "/api/chat/1/sessions"] {
        assert_eq!(world.get_as("kode_deep", path).await.refusal(), (404, "agent_not_found"), "{path}");
    }
}
