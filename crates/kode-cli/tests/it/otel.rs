//! The real binary and a collector: what it is sent, by which names, and what it costs when nobody is there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kode_testkit::glm_emulator::{GlmEmulator, Reply};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::collector::{Attributes, Collector, attributes};
use crate::harness::{PATIENCE, Server, run_with};

const KEY: &str = "testid.canary-of-the-model";
const HEADER: &str = "canary-of-the-collector";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

struct Bench {
    dir: TempDir,
    glm: GlmEmulator,
    server: Server,
    log: Arc<Mutex<String>>,
}

impl Bench {
    async fn new(env: &[(&str, &str)]) -> Self {
        let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        let note = move |line: &str| *lines.lock().unwrap() += &format!("{line}\n");
        let glm_env = [("KODE_GLM_BASE_URL", glm.base_url()), ("ZHIPUAI_API_KEY", KEY.to_owned())];
        let all: Vec<(&str, &str)> =
            glm_env.iter().map(|(name, value)| (*name, value.as_str())).chain(env.iter().copied()).collect();
        let server = Server::start_in(dir.path(), &all, note);
        Self { dir, glm, server, log }
    }

    /// Sends a message as part of a trace, and reads its turn to the end.
    async fn turn(&self, agent: &str, text: &str) -> String {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = http
            .post(format!("{}/api/agents/{agent}/messages", self.server.base))
            .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
            .header("x-request-id", "asked-1")
            .json(&json!({ "text": text }));
        let sent: Value = asked.send().await.unwrap().json().await.unwrap();
        let path = format!("/api/agents/{agent}/stream?since={}", sent["cursor"]);
        self.server.stream_text(&path).await
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = named(spans, name);
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(found.len(), 1, "one {name} among {names:?}");
    found[0]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The attributes of a span that have these names.
fn told<'a>(span: &Span, names: impl IntoIterator<Item = &'a str>) -> Vec<Option<String>> {
    let all: Attributes = attributes(&span.attributes);
    names.into_iter().map(|name| all.get(name).cloned()).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_told_to_a_collector_by_the_conventions_and_says_nothing_of_what_was_said() {
    let collector = Collector::start().await;
    let headers = format!("x-collector-key={HEADER},authorization=Bearer%20{HEADER}-token");
    let bench = Bench::new(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_SERVICE_NAME", "tea-house"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("RUST_LOG", "trace"),
    ])
    .await;
    bench.glm.push(Reply::call("fs_write", &json!({ "path": "a.txt", "content": "canary-written" })));
    bench.glm.push(Reply::text("canary-answered"));
    let events = bench.turn("user:canary-agent", "canary-asked").await;
    assert!(events.contains("canary-answered"), "{events}");
    let log = bench.log.clone();
    assert!(bench.server.terminate().success(), "{}", log.lock().unwrap());

    let resource = collector.resource();
    assert_eq!(resource["service.name"], "tea-house");
    assert_eq!(resource["deployment.environment.name"], "test");
    let spans = collector.spans();
    let request = only(&spans, "POST /api/agents/{agentId}/messages");
    let turn = only(&spans, "invoke_agent chat-assistant");
    let tool = only(&spans, "execute_tool fs_write");
    let chats = named(&spans, "chat glm-4.5-air");
    assert_eq!(chats.len(), 2, "two steps: {spans:?}");

    // One trace, from the caller down.
    for span in [request, turn, tool, chats[0], chats[1]] {
        assert_eq!(hex(&span.trace_id), TRACE, "{}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(turn.parent_span_id, request.span_id);
    for span in [tool, chats[0], chats[1]] {
        assert_eq!(span.parent_span_id, turn.span_id, "{}", span.name);
        assert!(span.start_time_unix_nano >= turn.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= turn.end_time_unix_nano);
    }
    let kinds = [request, turn, tool, chats[0]].map(|span| span.kind);
    let expected = [SpanKind::Server, SpanKind::Internal, SpanKind::Internal, SpanKind::Client];
    assert_eq!(kinds, expected.map(|kind| kind as i32));

    let http = ["http.request.method", "http.route", "http.response.status_code", "kode.request.id"];
    assert_eq!(told(request, http), some(&["POST", "/api/agents/{agentId}/messages", "202", "asked-1"]));
    let of_turn = ["gen_ai.operation.name", "gen_ai.agent.name", "kode.turn", "kode.turn.reason"];
    assert_eq!(told(turn, of_turn), some(&["invoke_agent", "chat-assistant", "1", "completed"]));
    let of_tool =
        ["gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.type", "kode.tool.outcome", "error.type"];
    let mut expected = some(&["execute_tool", "fs_write", "function", "completed"]);
    expected.push(None);
    assert_eq!(told(tool, of_tool), expected);
    let of_chat = [
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "gen_ai.response.finish_reasons",
    ];
    let model = |finish| some(&["chat", "glm", "glm-4.5-air", "glm-4.5-air", finish]);
    assert_eq!(told(chats[0], of_chat), model("[tool_calls]"));
    assert_eq!(told(chats[1], of_chat), model("[stop]"));

    // What steps spent adds up to what the turn did, and to what is counted.
    let counts =
        ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens"];
    let spent = |span: &Span| told(span, counts).map_to_numbers();
    let sum: Vec<u64> = spent(chats[0]).iter().zip(spent(chats[1])).map(|(a, b)| a + b).collect();
    assert!(sum[0] > 0 && sum[1] > 0, "{sum:?}");
    assert_eq!(spent(turn), sum);
    let points = collector.histogram("gen_ai.client.token.usage");
    let of = |kind: &str| {
        points
            .iter()
            .find(|(of, ..)| of["gen_ai.token.type"] == kind)
            .map(|(_, count, sum)| (*count, *sum as u64))
    };
    assert_eq!((of("input"), of("output")), (Some((2, sum[0])), Some((2, sum[1]))));
    let durations = collector.histogram("gen_ai.client.operation.duration");
    assert_eq!(durations.iter().map(|(_, count, _)| count).sum::<u64>(), 2);
    assert_eq!(durations[0].0["gen_ai.request.model"], "glm-4.5-air");
    assert!(durations.iter().chain(&points).all(|(of, ..)| !of.contains_key("gen_ai.conversation.id")));

    // The collector's key came with each request, and nothing came that is nobody's but the user's.
    let received = collector.received();
    for each in &received {
        assert_eq!(each.headers["x-collector-key"], HEADER);
        assert_eq!(each.headers["authorization"], format!("Bearer {HEADER}-token"));
        assert_eq!(each.headers["content-type"], "application/x-protobuf");
        let bytes = String::from_utf8_lossy(&each.body).into_owned();
        assert!(!bytes.contains("canary"), "{} tells {bytes}", each.path);
    }
    let log = log.lock().unwrap();
    assert!(!log.contains(HEADER) && !log.contains("canary-of-the-model"), "{log}");
    drop(bench.dir);
}

trait Numbers {
    fn map_to_numbers(self) -> Vec<u64>;
}

impl Numbers for Vec<Option<String>> {
    fn map_to_numbers(self) -> Vec<u64> {
        self.into_iter().map(|text| text.expect("it is told").parse().expect("it is a number")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_named_where_the_operator_wants_it_and_a_failure_by_its_code() {
    let collector = Collector::start().await;
    let bench =
        Bench::new(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address), ("KODE_OTEL_AGENT_IDS", "true")])
            .await;
    bench.glm.push(Reply::text("fine"));
    let _ = bench.turn("user:1", "hello").await;
    bench.glm.push(Reply::error(401, "1001", "canary-words-of-the-provider"));
    let _ = bench.turn("user:1", "hello").await;
    assert!(bench.server.terminate().success());

    let spans = collector.spans();
    let turns = named(&spans, "invoke_agent chat-assistant");
    assert_eq!(turns.len(), 2);
    let of_turn = ["gen_ai.conversation.id", "kode.turn", "kode.turn.reason"];
    assert_eq!(told(turns[0], of_turn), some(&["user:1", "1", "completed"]));
    assert_eq!(told(turns[1], of_turn), some(&["user:1", "2", "failed"]));
    let failed = named(&spans, "chat glm-4.5-air")[1];
    for span in [turns[1], failed] {
        assert_eq!(told(span, ["error.type"]), some(&["auth"]), "{}", span.name);
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, ""), "an error without words");
    }
    let durations = collector.histogram("gen_ai.client.operation.duration");
    let errors: Vec<Option<&str>> =
        durations.iter().map(|(of, ..)| of.get("error.type").map(String::as_str)).collect();
    assert!(errors.contains(&None) && errors.contains(&Some("auth")), "{errors:?}");
}

/// A collector that takes connections and never says a word, and one that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_silent_or_away_costs_nobody_a_turn() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap().to_string()
    };
    for address in [silent.local_addr().unwrap().to_string(), away] {
        let endpoint = format!("http://{address}");
        // Batches are due at once, so that every turn meets one that is not taken.
        let bench = Bench::new(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ])
        .await;
        for nth in 0..20 {
            bench.glm.push(Reply::text("fine"));
            let agent = format!("user:{nth}");
            let told =
                tokio::time::timeout(PATIENCE, bench.turn(&agent, "hello")).await.expect("a turn goes on");
            assert!(told.contains("\"completed\""), "{told}");
        }
        let began = std::time::Instant::now();
        assert!(bench.server.terminate().success());
        assert!(began.elapsed() < Duration::from_secs(9), "the end took {:?}", began.elapsed());
    }
}

#[test]
fn a_wrong_collector_is_refused_at_the_start_and_its_password_not_shown() {
    let dir = TempDir::new().unwrap();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "tcp://user:canary@collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("KODE_OTEL_AGENT_IDS", "perhaps"),
    ] {
        let env = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces"), (name, value)];
        let done = run_with(dir.path(), &["serve", "--demo", "--listen", "127.0.0.1:0"], &env);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && !said.contains("canary"), "{said}");
    }
}
