//! Snapshots and forks over HTTP.

use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::world::{World, kinds};

#[tokio::test]
async fn snapshots_are_named_listed_and_forked_at() {
    let world = World::new();
    world.turn("user:1", "one").await;
    let now = kode_core::clock::Clock::now(&*world.clock);
    let named = world.post("/api/agents/user:1/snapshots", json!({ "label": "before" })).await;
    let seq = named.json["seq"].as_u64().unwrap();
    let before = json!({ "snapshotId": "before", "seq": seq, "createdAt": now });
    assert_eq!((named.status.as_u16(), &named.json), (201, &before));
    world.turn("user:1", "two").await;
    let unnamed = world.post("/api/agents/user:1/snapshots", json!({})).await;
    let generated = unnamed.json["snapshotId"].as_str().unwrap().to_owned();
    assert!(generated.starts_with("snap_"), "{generated}");
    let listed = world.get("/api/agents/user:1/snapshots").await.json;
    assert_eq!(listed, json!({ "snapshots": [before, unnamed.json] }));

    for (at, messages) in
        [(json!("before"), 2), (json!(generated), 4), (json!(seq), 2), (json!(seq.to_string()), 2)]
    {
        let forked = world.post("/api/agents/user:1/fork", json!({ "at": at, "workspace": "empty" })).await;
        assert_eq!(forked.status, 201, "{:?}", forked.json);
        let fork = forked.json["agentId"].as_str().unwrap();
        assert!(fork.starts_with("user:1:fork:"), "{fork}");
        let history = world.get(&format!("/api/agents/{fork}/messages")).await.json;
        assert_eq!(history["messages"].as_array().unwrap().len(), messages, "at {at}");
    }
}

#[tokio::test]
async fn a_fork_is_an_agent_with_its_own_events_and_both_go_on() {
    let world = World::new();
    world.turn("a", "hello").await;
    let seq = world.get("/api/agents/a/status").await.json["lastBookmark"]["seq"].clone();
    let forked =
        world.post("/api/agents/a/fork", json!({ "agentId": "b", "metadata": { "why": "try" } })).await;
    let from = json!({ "agentId": "a", "seq": seq });
    let copied = json!({ "files": 0, "bytes": 0, "skipped": 0 });
    assert_eq!(forked.json, json!({ "agentId": "b", "forkedFrom": from, "copied": copied }));

    let events = world.get("/api/agents/b/events").await.json["events"].clone();
    assert_eq!(
        events[0]["event"],
        json!({ "channel": "monitor", "type": "agent_forked", "from": "a", "at": seq })
    );
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert_eq!(world.get("/api/agents/b/status").await.json["stepCount"], 1);
    let info = world.get("/api/agents/b").await.json;
    assert_eq!((&info["forkedFrom"], &info["lineage"]), (&from, &json!([from])));
    assert_eq!(info["metadata"], json!({ "why": "try" }));
    let listed = world.get("/api/agents").await.json;
    assert_eq!(listed["agents"][1]["forkedFrom"], from);
    assert_eq!(listed["agents"][0]["forkedFrom"], Value::Null);

    world.turn("b", "you").await;
    world.turn("a", "me").await;
    for agent in ["a", "b"] {
        let history = world.get(&format!("/api/agents/{agent}/messages")).await.json;
        assert_eq!(history["messages"].as_array().unwrap().len(), 4);
    }
    let told = world.listen("/api/agents/b/stream?since=0").await.rest().await;
    assert_eq!(kinds(&told).iter().filter(|kind| **kind == "done").count(), 1);

    let forks = world.get("/api/agents/a/forks").await.json;
    assert_eq!(forks["forks"][0]["agentId"], "b");
    assert_eq!(forks["forks"][0]["forkedFrom"], from);
    assert_eq!(world.get("/api/agents/b/forks").await.json, json!({ "forks": [] }));
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_where_to_fork_instead() {
    let world = World::playing([Script::new().call("slow", json!({})), Script::new().text("ok")]);
    world.post("/api/agents/a/messages", json!({ "text": "work" })).await;
    world.gate.arrived().await;
    let busy = world.get("/api/agents/a/status").await.json["lastBookmark"]["seq"].as_u64().unwrap();
    let fork = async |mut body: Value| {
        if body.get("agentId").is_none() {
            body["agentId"] = json!("b");
        }
        world.post("/api/agents/a/fork", body).await
    };

    let open = fork(json!({ "at": busy })).await;
    assert_eq!(open.refusal(), (422, "invalid_fork_point"));
    let error = open.json["error"].as_str().unwrap();
    let nearest: u64 = error.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{error}"));
    assert!(nearest < busy, "{error}");
    assert_eq!(fork(json!({ "at": nearest, "workspace": "empty" })).await.status, 201);
    assert_eq!(fork(json!({ "at": nearest })).await.refusal(), (409, "agent_exists"));
    world.delete("/api/agents/b").await;
    for at in [json!(0), json!(1), json!(10_000), json!("10000")] {
        assert_eq!(fork(json!({ "at": at })).await.refusal(), (422, "invalid_fork_point"), "{at}");
    }
    for at in [json!(-1), json!(1.5), json!({}), json!("99999999999999999999999")] {
        assert_eq!(fork(json!({ "at": at })).await.refusal(), (422, "invalid_request"), "{at}");
    }
    assert_eq!(fork(json!({ "at": "never" })).await.refusal(), (422, "unknown_snapshot"));
    assert_eq!(fork(json!({ "agentId": "../x" })).await.refusal(), (400, "invalid_agent_id"));
    assert_eq!(fork(json!({ "agentId": "a" })).await.refusal(), (409, "agent_exists"));
    assert_eq!(fork(json!({ "templateId": "nope" })).await.refusal(), (422, "unknown_template"));
    assert_eq!(fork(json!({ "workspace": "stolen" })).await.refusal(), (422, "invalid_request"));
    assert_eq!(fork(json!({ "as": "b" })).await.refusal(), (422, "invalid_request"));

    let nobody = world.post("/api/agents/nobody/fork", json!({ "agentId": "c" })).await;
    assert_eq!(nobody.refusal(), (404, "agent_not_found"));
    for path in ["snapshots", "forks"] {
        let nobody = world.get(&format!("/api/agents/nobody/{path}")).await;
        assert_eq!(nobody.refusal(), (404, "agent_not_found"));
    }
    let nobody = world.post("/api/agents/nobody/snapshots", json!({})).await;
    assert_eq!(nobody.refusal(), (404, "agent_not_found"));

    let label = async |label: Value| world.post("/api/agents/a/snapshots", json!({ "label": label })).await;
    assert_eq!(label(json!("x")).await.status, 201);
    assert_eq!(label(json!("x")).await.refusal(), (409, "snapshot_exists"));
    for bad in [json!(""), json!("12"), json!("a\nb"), json!("x".repeat(201)), json!(7)] {
        assert_eq!(label(bad.clone()).await.refusal(), (422, "invalid_request"), "{bad}");
    }
    let agents = world.get("/api/agents").await.json;
    assert_eq!(agents["agents"].as_array().unwrap().len(), 1, "refusals made nothing: {agents}");
}

#[tokio::test]
async fn what_waits_for_a_person_is_the_parents_alone() {
    let world = World::playing([Script::new().call("slow", json!({})), Script::new().text("done")]);
    world.post("/api/agents", json!({ "agentId": "a", "templateId": "careful" })).await;
    world.post_with("/api/agents/a/messages", &[("idempotency-key", "k")], json!({ "text": "work" })).await;
    let call = world.asked("a").await;
    world.post("/api/agents/a/fork", json!({ "agentId": "b" })).await;
    assert_eq!(world.get("/api/agents/b/approvals").await.json, json!({ "approvals": [] }));
    let decision = json!({ "callId": call, "decision": "allow" });
    assert_eq!(
        world.post("/api/agents/b/approve", decision.clone()).await.refusal(),
        (404, "approval_not_found")
    );
    assert_eq!(world.get("/api/agents/b/status").await.json["state"], "READY");
    assert_eq!(world.post("/api/agents/a/approve", decision).await.status, 204);
    world.gate.open();
}
