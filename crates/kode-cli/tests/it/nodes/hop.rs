//! What goes along with a request that one node forwards to another: its place in a trace, and what its sender has
//! seen of the answer.

use kode_testkit::glm_emulator::Reply;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use super::Backend;
use super::cluster::Cluster;
use crate::collector::Collector;
use crate::harness::PATIENCE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SENDING: &str = "POST /api/agents/{agentId}/messages";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The caller, the node that was asked, the owner and its turn stand in one trace, each below the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_leads_from_the_node_that_was_asked_to_the_owner_and_its_turn() {
    let Some(backend) = Backend::redis() else { return };
    let collector = Collector::start().await;
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address.as_str())];
    let cluster = Cluster::start_env(backend.url(), "lease_ms = 3000\n", &env).await;
    cluster.glm.respond(|_| Reply::text("All is well."));
    let made = cluster.node(0).server.post("/api/agents", &json!({ "agentId": "user:1" })).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = http
        .post(format!("{}/api/agents/user:1/messages", cluster.node(1).server.base))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .json(&json!({ "text": "hello" }));
    assert_eq!(asked.send().await.unwrap().status(), 202);
    cluster.until_ready("user:1").await;
    assert_eq!(cluster.owner("user:1").await, Some(0));
    for nth in [1, 0] {
        cluster.node(nth).drain();
        assert!(cluster.node(nth).server.until_ended().await.success());
    }

    let spans = collector.spans();
    let below = |parent: &str, name: &str| -> &Span {
        let found = spans.iter().find(|span| {
            hex(&span.trace_id) == TRACE && hex(&span.parent_span_id) == parent && span.name.starts_with(name)
        });
        found.unwrap_or_else(|| panic!("no {name} below {parent}: {spans:?}"))
    };
    let asked = below(CALLER, SENDING);
    let owner = below(&hex(&asked.span_id), SENDING);
    below(&hex(&owner.span_id), "invoke_agent");
}

/// Who lost a message's stream posts it again, at any node, and gets what is left of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_message_posted_again_at_another_node_goes_on_behind_what_was_seen() {
    let Some(backend) = Backend::redis() else { return };
    let cluster = Cluster::start_calm(backend.url()).await;
    cluster.glm.respond(|_| Reply::text("All is well.").pieces(4));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |nth: usize, seen: &str| {
        let asked = http
            .post(format!("{}/api/agents/user:1/messages", cluster.node(nth).server.base))
            .headers(
                [("accept", "text/event-stream"), ("idempotency-key", "k"), ("last-event-id", seen)]
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                    .into_iter()
                    .collect(),
            )
            .json(&json!({ "text": "hello" }));
        let answer = asked.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, tokio::time::timeout(PATIENCE, answer.text()).await.unwrap().unwrap())
    };
    let ids = |told: &str| -> Vec<String> {
        told.lines()
            .filter_map(|line| line.strip_prefix("id: ").or(line.strip_prefix("id:")))
            .map(str::to_owned)
            .collect()
    };
    let (status, first) = post(0, "").await;
    assert_eq!(status, 200);
    let all = ids(&first);
    assert!(all.len() > 3 && first.contains("\"type\":\"done\""), "{first}");
    assert_eq!(cluster.owner("user:1").await, Some(0));
    let (status, rest) = post(1, &all[1]).await;
    assert_eq!((status, ids(&rest)), (200, all[2..].to_vec()), "{rest}");
    let (status, rest) = post(2, &all[all.len() - 1]).await;
    assert_eq!((status, rest.as_str()), (204, ""), "whoever has seen the end is told so");
    let history = cluster.until_told("/api/agents/user:1/messages").await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 2, "it was sent once: {history}");
}
