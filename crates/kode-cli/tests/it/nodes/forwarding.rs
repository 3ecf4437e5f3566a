//! What one node does with a request that belongs to another.

use std::time::Duration;

use kode_testkit::glm_emulator::{Gate, Reply};
use kode_testkit::survivors::{mark, until_gone, until_marked};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Backend;
use super::cluster::Cluster;
use super::reader::{answered, follow};
use crate::harness::PATIENCE;

/// An agent that is live at the first node, by one message.
async fn live_at_first(cluster: &Cluster, agent: &str, text: &str) -> Value {
    let (status, queued) =
        cluster.node(0).server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": text })).await;
    assert_eq!(status, 202, "{queued}");
    queued
}

async fn any_node_takes_any_request(backend: Option<Backend>) {
    let Some(backend) = backend else { return };
    let cluster = Cluster::start_calm(backend.url()).await;
    cluster.glm.respond(|_| Reply::text("All is well.").pieces(3));
    live_at_first(&cluster, "user:1", "hello").await;
    cluster.until_ready("user:1").await;
    let other = cluster.node(1);

    // Writes reach the one that has it: a second message, a stream of it, todos, a snapshot, an interrupt.
    let (status, queued) =
        other.server.post("/api/agents/user:1/messages", &json!({ "text": "and again" })).await;
    assert_eq!(status, 202, "{queued}");
    cluster.until_ready("user:1").await;
    let told = other.server.post_stream("/api/chat/1", &json!({ "message": "as a stream" })).await;
    assert!(told.contains("\"type\":\"done\"") && told.contains("All is well."), "{told}");
    let (status, answer) =
        other.server.post("/api/agents/user:1/snapshots", &json!({ "label": "here" })).await;
    assert_eq!((status, &answer["snapshotId"]), (201, &json!("here")));
    let (status, answer) =
        other.server.post("/api/agents/user:1/snapshots", &json!({ "label": "here" })).await;
    assert_eq!((status, &answer["code"]), (409, &json!("snapshot_exists")), "the answer is the other node's");
    assert!(answer["requestId"].is_string());
    let (status, _) = other.server.post("/api/agents/user:1/interrupt", &json!({})).await;
    assert_eq!(status, 202);
    let (status, answer) = other.server.post("/api/agents", &json!({ "agentId": "user:1" })).await;
    assert_eq!((status, &answer["created"]), (200, &json!(false)));
    assert_eq!(cluster.owner("user:1").await, Some(0), "nobody took it over for that");

    // A fork is made by whoever is asked; a delete is done where the agent is.
    let (status, fork) =
        cluster.node(2).server.post("/api/agents/user:1/fork", &json!({ "agentId": "user:1:f" })).await;
    assert_eq!(status, 201, "{fork}");
    let (status, answer) = other.server.delete("/api/agents/user:1").await;
    assert_eq!(status, 204, "{answer}");
    let (status, _) = cluster.node(0).server.get("/api/agents/user:1").await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_any_node_takes_any_request_on_redis() {
    any_node_takes_any_request(Backend::redis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_any_node_takes_any_request_on_postgres() {
    any_node_takes_any_request(Backend::postgres()).await;
}

/// What waits for a person is seen at every node, and decided once, whichever it is decided at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_an_approval_is_seen_and_decided_through_any_node_and_survives_its_owner() {
    let Some(backend) = Backend::redis() else { return };
    let cluster = Cluster::start(backend.url()).await;
    cluster.glm.respond(|request| match request.last_message()["role"].as_str() {
        Some("user") => Reply::call("bash_run", &json!({ "cmd": "echo allowed" })),
        _ => Reply::text("It ran."),
    });
    let body = json!({ "text": "run it", "templateId": "repo-assistant" });
    let (status, queued) = cluster.node(0).server.post("/api/agents/user:1/messages", &body).await;
    assert_eq!(status, 202, "{queued}");
    cluster.node(0).server.until_asked("user:1").await;
    let open = cluster.node(2).server.get("/api/approvals").await.1;
    let call = open["approvals"][0]["callId"].as_str().expect("it is seen at another node").to_owned();
    cluster.node(0).server.strike();
    let body = json!({ "callId": call, "decision": "deny", "note": "not now" });
    let decisions = [1, 2].map(|nth| {
        let (cluster, body) = (&cluster, &body);
        async move { cluster.node(nth).server.post("/api/agents/user:1/approve", body).await.0 }
    });
    let mut decided = futures_util::future::join_all(decisions).await;
    decided.sort_unstable();
    assert_eq!(decided, [204, 409], "once");
    cluster.start_again(0).await;
    cluster.until_ready("user:1").await;
}

/// Chunks come at another node within moments of the owner's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_stream_at_another_node_is_as_live_as_the_owners() {
    let Some(backend) = Backend::redis() else { return };
    let cluster = Cluster::start_calm(backend.url()).await;
    cluster.glm.respond(|_| Reply::text("word ".repeat(40)).pieces(40).paced(Duration::from_millis(25)));
    let queued = live_at_first(&cluster, "user:1", "talk").await;
    let path = format!("/api/agents/user:1/stream?since={}&channels=progress", queued["cursor"]);
    let (here, there) = tokio::join!(arrivals(&cluster, 0, &path), arrivals(&cluster, 1, &path));
    assert_eq!(here.len(), there.len(), "both see the same");
    let mut late: Vec<Duration> =
        here.iter().zip(&there).map(|(here, there)| there.saturating_duration_since(*here)).collect();
    late.sort();
    let (middle, longest) = (late[late.len() / 2], late[late.len() - 1]);
    println!("chunks at another node: p50 {middle:?} and at most {longest:?} behind the owner's");
    assert!(middle < Duration::from_millis(250), "{late:?}");
}

/// When each frame of a stream came.
async fn arrivals(cluster: &Cluster, node: usize, path: &str) -> Vec<Instant> {
    let reading = async {
        let mut stream = cluster.node(node).server.stream(path).await;
        let mut came = Vec::new();
        while let Some(piece) = stream.chunk().await.unwrap() {
            let frames = String::from_utf8_lossy(&piece).matches("\ndata: ").count();
            came.extend(std::iter::repeat_n(Instant::now(), frames));
        }
        came
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends")
}

/// A message whose owner is stopped before it answers is queued once, by whoever has the agent next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_message_that_was_on_its_way_to_a_stopped_owner_is_queued_once() {
    let Some(backend) = Backend::redis() else { return };
    let cluster = Cluster::start(backend.url()).await;
    let gate = Gate::closed();
    let held = gate.clone();
    cluster.glm.respond(move |_| Reply::text("Done.").held_by(&held));
    live_at_first(&cluster, "user:1", "first").await;
    let owner = cluster.node(0);
    owner.stop();
    let body = json!({ "text": "second" });
    let (status, queued) = cluster.node(1).server.post("/api/agents/user:1/messages", &body).await;
    assert_eq!(status, 202, "{queued}");
    owner.wake();
    gate.open();
    cluster.until_ready("user:1").await;
    let history = cluster.until_told("/api/agents/user:1/messages").await;
    let said = history["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "user");
    let texts: Vec<_> = said.map(|m| m["content"][0]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["first", "second"]);
}

/// What an owner was running when it was stopped is gone before another node goes on, although the owner holds on to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_g8_a_command_of_a_stopped_owner_is_gone_and_never_run_again() {
    let Some(backend) = Backend::redis() else { return };
    let config = "lease_ms = 300\ndefault_template = 'shell'\n[[template]]\nid = 'shell'\nsystem_prompt = 'You are a test.'\ntools = '*'\n";
    let cluster = Cluster::start_with(backend.url(), config).await;
    let name = mark(1);
    let line = format!("echo ran >> ran.txt; exec sleep {name}");
    cluster.glm.respond(move |request| match request.last_message()["role"].as_str() {
        Some("user") => Reply::call("bash_run", &json!({ "cmd": line })),
        _ => Reply::text("It is not known."),
    });
    live_at_first(&cluster, "user:1", "run it").await;
    until_marked(&name).await;
    let owner = cluster.node(0);
    owner.stop();
    until_gone(&name).await;
    let ended = follow(&cluster, "user:1", |events| answered(events) > 0).await;
    let end = ended.iter().find(|event| event["event"]["type"] == "tool:end").expect("the call ends");
    assert_eq!(end["event"]["call"]["state"], "SEALED", "{end}");
    owner.wake();
    let ran = std::fs::read_to_string(cluster.dir.path().join("workspace/user:1/ran.txt")).unwrap();
    assert_eq!(ran, "ran\n");
}

/// No client is taken for a node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_says_that_a_node_forwards_is_refused() {
    let Some(backend) = Backend::redis() else { return };
    let cluster = Cluster::start(backend.url()).await;
    let url = format!("{}/api/agents/user:1/messages", cluster.node(0).server.base);
    for (name, value) in [("x-kode-forwarded", "e30"), ("x-kode-proof", "00")] {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.post(&url).header(name, value).json(&json!({ "text": "x" })).send().await.unwrap();
        assert_eq!(answer.status(), 403);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["code"], "forwarding_refused");
    }
}
