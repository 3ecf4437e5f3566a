//! Nodes that are drained one after another, as at an upgrade, while clients go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kode_testkit::glm_emulator::{Gate, Reply};
use kode_testkit::rounds::rounds;
use serde_json::json;

use super::Backend;
use super::cluster::Cluster;
use super::faults::Faults;
use super::reader::{answered, assert_all, follow};
use crate::kill::script;

/// Clients that send at the same time, each to an agent of its own.
const CLIENTS: u64 = 4;

/// Sends through random nodes, one message after another, each with one retry at another node. What was acknowledged.
async fn client(cluster: &Cluster, nth: u64, over: &AtomicBool) -> Vec<(String, String)> {
    let (agent, mut sent) = (format!("user:{nth}"), Vec::new());
    let path = format!("/api/agents/{agent}/messages");
    while !over.load(Ordering::Relaxed) || sent.len() < 3 {
        let text = format!("work {nth}.{}", sent.len());
        let body = json!({ "text": text });
        let first = cluster.roll(3);
        let mut answers = Vec::new();
        for node in [first, (first + 1) % 3] {
            let answer = cluster.node(node).server.try_post_with_key(&path, &text, &body).await;
            let accepted = matches!(answer, Some((202, _)));
            answers.push(answer);
            if accepted {
                break;
            }
        }
        let Some(Some((202, queued))) = answers.last() else { panic!("{text}: {answers:?}") };
        sent.push((text, queued["messageId"].as_str().unwrap().to_owned()));
        cluster.until_ready(&agent).await;
    }
    sent
}

/// What there is to tell of it.
async fn drains(backend: Option<Backend>, name: &str) -> String {
    let Some(backend) = backend else { return format!("{name}: not here") };
    let cluster = Cluster::start_with(backend.url(), &format!("lease_ms = 3000\n{}", script::TOOLS)).await;
    script::play(&cluster.glm);
    let over = AtomicBool::new(false);
    let clients = futures_util::future::join_all((0..CLIENTS).map(|nth| client(&cluster, nth, &over)));
    let draining = async {
        for round in 0..rounds(&format!("rolling drains of three nodes on {name}"), 3, 30) {
            for nth in 0..3 {
                let node = cluster.node(nth);
                node.drain();
                let ended = tokio::time::timeout(Duration::from_secs(60), node.server.until_ended());
                assert!(ended.await.expect("a node that drains ends").success(), "round {round}");
                cluster.start_again(nth).await;
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let seen =
            follow(&cluster, "user:0", |events| answered(events) > 0 && over.load(Ordering::Relaxed)).await;
        assert_all(&cluster, "user:0", &seen).await;
        seen.len()
    };
    let (sent, (), events) = tokio::join!(clients, draining, reading);
    let mut faults = Faults::default();
    for (nth, sent) in sent.iter().enumerate() {
        faults.check(&cluster, &format!("user:{nth}"), sent).await.unwrap();
    }
    let ran = faults.check_files(&cluster);
    assert_eq!(faults, Faults::default());
    assert!(ran > 0, "no tool ran");
    format!(
        "{name}: {} messages, none failed with one retry, none lost, none twice, {ran} tools, each once at most; one reader \
         saw {events} events through all drains",
        sent.iter().map(Vec::len).sum::<usize>()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g4_rolling_drains_fail_no_request_that_is_tried_twice_on_redis() {
    println!("{}", drains(Backend::redis(), "redis").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g4_rolling_drains_fail_no_request_that_is_tried_twice_on_postgres() {
    println!("{}", drains(Backend::postgres(), "postgres").await);
}

/// While a turn keeps it from ending, a node that was told to stop is a door like any other.
async fn a_node_that_drains_forwards(backend: Option<Backend>) {
    let Some(backend) = backend else { return };
    let cluster = Cluster::start_calm(backend.url()).await;
    let gate = Gate::closed();
    let held = gate.clone();
    cluster.glm.respond(move |request| {
        let slow = request.last_message().to_string().contains("slowly");
        let reply = Reply::text("one two three").pieces(3);
        if slow { reply.held_by(&held) } else { reply }
    });
    let node = cluster.node(0);
    let (status, queued) =
        node.server.post("/api/agents/user:slow/messages", &json!({ "text": "slowly" })).await;
    assert_eq!(status, 202, "{queued}");
    cluster.glm.request(0).await;
    node.drain();
    until_draining(&node).await;

    let (status, queued) = node.server.post("/api/agents/user:new/messages", &json!({ "text": "hi" })).await;
    assert_eq!(status, 202, "what nobody has goes to a peer: {queued}");
    let told = node.server.post_stream("/api/chat/other", &json!({ "message": "as a stream" })).await;
    assert!(told.contains("one") && told.contains("\"type\":\"done\""), "{told}");
    let owner = cluster.owner("user:other").await;
    assert!(matches!(owner, Some(1 | 2)), "{owner:?}");
    let (status, agent) = node.server.get("/api/agents/user:slow").await;
    assert_eq!((status, &agent["state"]), (200, &json!("WORKING")), "reads are answered: {agent}");

    // What it still has is waited for, and then goes to whoever has it next.
    let waiting =
        async { node.server.post("/api/agents/user:slow/messages", &json!({ "text": "and again" })).await };
    let (sent, ()) = tokio::join!(waiting, async { gate.open() });
    assert_eq!(sent.0, 202, "{}", sent.1);
    assert!(node.server.until_ended().await.success());
    cluster.until_ready("user:slow").await;
    let events = follow(&cluster, "user:slow", |events| answered(events) == 2).await;
    assert_all(&cluster, "user:slow", &events).await;
}

/// Waits until a node says that it should get no work any more.
async fn until_draining(node: &super::cluster::Node) {
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    loop {
        beat.tick().await;
        let (status, answer) = node.server.get("/readyz").await;
        if status == 503 {
            assert_eq!(answer["code"], "draining", "{answer}");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_node_that_drains_forwards_what_comes_to_it_on_redis() {
    a_node_that_drains_forwards(Backend::redis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_node_that_drains_forwards_what_comes_to_it_on_postgres() {
    a_node_that_drains_forwards(Backend::postgres()).await;
}
