//! What the server counts: by how much each number rises, and whom no number names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use kode_core::Runtime;
use kode_core::id::AgentId;
use kode_core::message::Usage;
use kode_core::model::{ErrorClass, ModelError};
use kode_core::sandbox::{FileError, SandboxFactory, Workspace};
use kode_core::store::StoreError;
use kode_core::store::memory::MemoryStore;
use kode_core::template::{SandboxSpec, Template};
use kode_server::Metrics;
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::{Script, ScriptedModel};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::auth::{ADMIN, ONE, guarded};
use crate::world::{LONG, World, request};

/// The text, line by line; it must be one that Prometheus reads.
async fn scrape(world: &World) -> BTreeMap<String, f64> {
    read(&text(world).await)
}

async fn text(world: &World) -> String {
    let admin = format!("Bearer {ADMIN}");
    let response = world.send(request(Method::GET, "/metrics", &[("authorization", &admin)], None)).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn read(text: &str) -> BTreeMap<String, f64> {
    let (mut values, mut typed) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (name, kind) = comment.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind) && !typed.contains(&name), "{line}");
            typed.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = *typed.last().unwrap();
            assert!(name.starts_with(family), "{line} stands under {family}");
            assert!(values.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} comes twice");
        }
    }
    values
}

fn value(values: &BTreeMap<String, f64>, name: &str) -> f64 {
    *values.get(name).unwrap_or_else(|| panic!("there is no {name} in {values:#?}"))
}

#[tokio::test]
async fn a_turn_with_a_tool_an_approval_and_a_failed_attempt_is_counted_once_each() {
    let usage = Usage {
        input_tokens: 12,
        output_tokens: 5,
        total_tokens: 17,
        cached_tokens: 8,
        reasoning_tokens: 2,
        cost_micros: 9,
    };
    let world = World::playing([
        Script::new().text("Let me look.").call("slow", json!({})).usage(usage),
        Script::new().fail(ModelError::fatal(ErrorClass::Billing, "no money")),
    ]);
    world.gate.open();
    world.post("/api/agents/user:1/messages", json!({ "text": "go", "templateId": "careful" })).await;
    let call = world.asked("user:1").await;
    assert_eq!(value(&scrape(&world).await, "kode_approvals_pending"), 1.0);
    let cursor = world.get("/api/agents/user:1/status").await.json["cursor"].clone();
    world.post("/api/agents/user:1/approve", json!({ "callId": call, "decision": "allow" })).await;
    world.listen(&format!("/api/agents/user:1/stream?since={cursor}")).await.rest().await;
    let told = scrape(&world).await;
    for (name, expected) in [
        ("kode_turns_total{reason=\"failed\"}", 1.0),
        ("kode_steps_total", 1.0),
        ("kode_tool_calls_total{tool=\"slow\",outcome=\"completed\"}", 1.0),
        ("kode_model_attempts_total{provider=\"scripted\",model=\"scripted-1\",outcome=\"ok\"}", 1.0),
        ("kode_model_attempts_total{provider=\"scripted\",model=\"scripted-1\",outcome=\"billing\"}", 1.0),
        ("kode_tokens_total{kind=\"input\"}", 12.0),
        ("kode_tokens_total{kind=\"output\"}", 5.0),
        ("kode_tokens_total{kind=\"cached\"}", 8.0),
        ("kode_tokens_total{kind=\"reasoning\"}", 2.0),
        ("kode_cost_micros_total", 9.0),
        ("kode_approvals_requested_total", 1.0),
        ("kode_approvals_decided_total{decision=\"allow\"}", 1.0),
        ("kode_approvals_pending", 0.0),
        ("kode_agents_created_total", 1.0),
        ("kode_agents_resident", 1.0),
        ("kode_agents_running", 0.0),
        ("kode_sandbox_starts_total{outcome=\"ok\"}", 1.0),
        (
            "gen_ai_client_token_usage_sum{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"scripted\",gen_ai_request_model=\"scripted-1\",gen_ai_token_type=\"input\"}",
            12.0,
        ),
        (
            "gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"scripted\",gen_ai_request_model=\"scripted-1\",error_type=\"billing\"}",
            1.0,
        ),
        (
            "kode_http_requests_total{method=\"POST\",route=\"/api/agents/{agentId}/messages\",status=\"202\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&told, name), expected, "{name}");
    }
    assert!(value(&told, "kode_store_appends_total{grade=\"synced\"}") >= 4.0);
}

#[tokio::test]
async fn what_the_store_refuses_and_who_is_taken_up_again_is_counted() {
    let mut world = World::new();
    world.turn("a", "hello").await;
    world.faults.fail_all(Op::Append, When::Before, StoreError::Full("/path: no space".into()));
    world.post("/api/agents/a/messages", json!({ "text": "more" })).await;
    let told = scrape(&world).await;
    assert!(value(&told, "kode_store_errors_total{operation=\"append\",kind=\"full\"}") >= 1.0);
    world.start_again();
    world.turn("a", "again").await;
    assert_eq!(value(&scrape(&world).await, "kode_agent_wake_ups_total"), 1.0);
}

#[tokio::test]
async fn a_stream_counts_while_it_is_open() {
    let world = World::new();
    let stream = world.listen("/api/agents/a/stream").await;
    assert_eq!(value(&scrape(&world).await, "kode_streams_open"), 1.0);
    drop(stream);
    assert_eq!(value(&scrape(&world).await, "kode_streams_open"), 0.0);
}

#[tokio::test]
async fn numbers_name_nobody_and_are_the_operators() {
    let world = guarded(World::new());
    world.post_as(ONE, "/api/agents/user:1/messages", json!({ "text": "a secret word" })).await;
    world.get_as(ONE, "/api/agents/user:1/nothing/canary").await;
    world.call(ONE, Method::from_bytes(b"CANARY").unwrap(), "/api/agents", None).await;
    assert_eq!(world.get_as(ONE, "/metrics").await.refusal(), (403, "forbidden"));
    assert_eq!(world.get("/metrics").await.refusal(), (401, "unauthorized"));
    let told = text(&world).await;
    assert!(told.contains("route=\"none\",status=\"404\"") && told.contains("method=\"other\""), "{told}");
    for secret in ["user:1", "\"one\"", "secret", "canary", "CANARY", ONE] {
        assert!(!told.contains(secret), "{secret} is in {told}");
    }
}

#[tokio::test]
async fn a_listener_of_its_own_tells_the_numbers_to_everybody_and_nothing_else() {
    let world = guarded(World::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = kode_server::serve_metrics(
        listener,
        world.pool.clone(),
        world.config.metrics.clone(),
        world.shutdown.clone(),
    );
    let serving = tokio::spawn(serving);
    for (path, expected) in [("/metrics", "200 OK"), ("/api/agents", "404 Not Found"), ("/", "404 Not Found")]
    {
        let mut peer = TcpStream::connect(address).await.unwrap();
        let asked = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        peer.write_all(asked.as_bytes()).await.unwrap();
        let mut told = String::new();
        peer.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with(&format!("HTTP/1.1 {expected}")), "{told}");
        assert_eq!(told.contains("kode_agents_resident 0"), path == "/metrics");
    }
    world.shutdown.cancel();
    tokio::time::timeout(LONG.min(Duration::from_secs(20)), serving).await.unwrap().unwrap().unwrap();
}

/// Sandboxes that note the levels that they are to prepare for, and open none.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

#[async_trait]
impl SandboxFactory for Asked {
    async fn open(&self, _: &AgentId, _: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError> {
        Err(FileError::NotFound("the work directory".into()))
    }

    async fn prepare(&self, wishes: &SandboxSpec) {
        self.0.lock().unwrap().push(wishes.level.clone());
    }

    async fn remove(&self, _: &AgentId) -> Result<(), FileError> {
        Ok(())
    }
}

#[tokio::test]
async fn counted_sandboxes_prepare_for_each_template() {
    let (asked, metrics) = (Arc::new(Asked::default()), Metrics::new());
    let template = |id: &str, level: &str| {
        let mut template = Template::new(id, "You help.");
        template.sandbox.level = level.into();
        template
    };
    let runtime = Runtime::builder(
        Arc::new(MemoryStore::default()),
        ScriptedModel::new([]),
        metrics.sandboxes(asked.clone()),
    )
    .template(template("a", "strict"))
    .template(template("b", "none"))
    .default_model("scripted-1")
    .build()
    .unwrap();
    runtime.prepare().await;
    assert_eq!(*asked.0.lock().unwrap(), ["strict", "none"]);
}
