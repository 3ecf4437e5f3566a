//! A server whose time, model, store and files belong to the test, and a caller of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_util::StreamExt;
use kode_core::RuntimeBuilder;
use kode_core::clock::Ids;
use kode_core::id::{MessageId, Millis};
use kode_core::model::ToolSpec;
use kode_core::store::Store;
use kode_core::store::memory::MemoryStore;
use kode_core::template::{Permission, Template};
use kode_core::tool::{Tool, ToolCx, ToolError};
use kode_core::{Runtime, id::TemplateId};
use kode_pool::{Pool, PoolOptions};
use kode_server::{App, Auth, Metrics, ServerConfig, router};
use kode_testkit::clock::{CountingIds, SimClock};
use kode_testkit::faulty::{Faults, FaultyStore};
use kode_testkit::scripted_model::{Gate, Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::contract;

/// What a panic says that nobody may hear of.
pub(crate) const PANIC_SECRET: &str = "canary-of-a-panic";

/// A tool that waits at a gate, or panics.
struct Slow {
    gate: Gate,
    name: &'static str,
}

#[async_trait]
impl Tool for Slow {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: self.name.into(), description: "Takes its time.".into(), input_schema: json!({}) }
    }

    fn check(&self, _: &Value) -> Result<(), ToolError> {
        Ok(())
    }

    async fn call(&self, _: &ToolCx, _: Value) -> Result<Value, ToolError> {
        assert_ne!(self.name, "broken", "it is broken, as its name says, and {PANIC_SECRET}");
        self.gate.hold().await;
        Ok(json!("slow and steady"))
    }
}

/// Ids that count, until they are used up.
struct FewIds(CountingIds);

impl Ids for FewIds {
    fn message_id(&self) -> MessageId {
        self.0.message_id()
    }

    fn agent_suffix(&self) -> String {
        match self.0.agent_suffix() {
            tenth if tenth.ends_with("0") => panic!("a port of the host fails"),
            suffix => suffix,
        }
    }
}

pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) model: Arc<ScriptedModel>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) faults: Faults,
    pub(crate) gate: Gate,
    store: MemoryStore,
    ids: Arc<FewIds>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) config: ServerConfig,
}

impl World {
    /// Every answer is `ok`.
    pub(crate) fn new() -> Self {
        Self::build(ScriptedModel::always(Script::new().text("ok")), Gate::default(), 100)
    }

    /// Each request plays the next script.
    pub(crate) fn playing(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::build(ScriptedModel::new(scripts), Gate::default(), 100)
    }

    /// Each request plays the next script, and what agents spend is counted for those who hold these keys.
    pub(crate) fn counting(auth: Auth, scripts: impl IntoIterator<Item = Script>) -> Self {
        let ports = (Arc::new(SimClock::default()), Arc::new(FewIds(CountingIds::default())));
        let model = ScriptedModel::new(scripts);
        Self::over(MemoryStore::new(), ports, model, Gate::default(), 100, auth, |builder| builder)
    }

    /// Every answer waits at the gate before its only word.
    pub(crate) fn held(max_agents: usize) -> Self {
        let gate = Gate::default();
        Self::build(ScriptedModel::always(Script::new().hold(&gate).text("ok")), gate, max_agents)
    }

    /// Every answer is `ok`, and what is older than this is forgotten.
    pub(crate) fn forgetting(age: Millis) -> Self {
        let ports = (Arc::new(SimClock::default()), Arc::new(FewIds(CountingIds::default())));
        let (store, model) = (MemoryStore::new(), ScriptedModel::always(Script::new().text("ok")));
        Self::over(store, ports, model, Gate::default(), 100, Auth::open(), |builder| builder.retention(age))
    }

    fn build(model: Arc<ScriptedModel>, gate: Gate, max_agents: usize) -> Self {
        let (clock, ids) = (Arc::new(SimClock::default()), Arc::new(FewIds(CountingIds::default())));
        Self::over(MemoryStore::new(), (clock, ids), model, gate, max_agents, Auth::open(), |builder| builder)
    }

    /// Another process over the same store, the one before being dead.
    pub(crate) fn start_again(&mut self) {
        let (ports, max_agents) = ((self.clock.clone(), self.ids.clone()), self.pool.stats().max);
        let (store, model, gate) = (self.store.clone(), self.model.clone(), self.gate.clone());
        let auth = self.config.auth.clone();
        *self = Self::over(store, ports, model, gate, max_agents, auth, |builder| builder);
    }

    fn over(
        store: MemoryStore,
        (clock, ids): (Arc<SimClock>, Arc<FewIds>),
        model: Arc<ScriptedModel>,
        gate: Gate,
        max_agents: usize,
        auth: Auth,
        and: impl FnOnce(RuntimeBuilder) -> RuntimeBuilder,
    ) -> Self {
        let faults = Faults::none();
        let metrics = Metrics::new();
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(store.clone(), faults.clone()));
        let asks = Permission { require_approval: vec!["slow".into()], ..Permission::default() };
        let plain = Template::new("plain", "You are a test.").with_tools(["slow", "broken"]);
        let careful = Template { id: TemplateId::new("careful"), permission: asks, ..plain.clone() };
        let builder = Runtime::builder(
            auth.store(metrics.store(faulty)),
            metrics.model(model.clone()),
            metrics.sandboxes(Arc::new(MemorySandbox::new())),
        );
        let builder = ["slow", "broken"].into_iter().fold(builder, |builder: RuntimeBuilder, name| {
            builder.tool(Arc::new(Slow { gate: gate.clone(), name }))
        });
        let runtime = and(builder)
            .template(plain)
            .template(careful)
            .default_model("scripted-1")
            .clock(clock.clone())
            .ids(ids.clone())
            .holder("test", 10_000_000)
            .build()
            .unwrap();
        let pool = Pool::new(runtime, PoolOptions { max_agents, ..PoolOptions::default() });
        let config = ServerConfig { demo: true, metrics, auth, ..ServerConfig::default() };
        Self { pool, model, clock, faults, gate, store, ids, shutdown: CancellationToken::new(), config }
    }

    pub(crate) fn router(&self) -> Router {
        router(App::new(self.pool.clone(), self.config.clone(), self.shutdown.clone()))
    }

    /// Asks, and holds the answer against the server's description of itself.
    pub(crate) async fn send(&self, request: Request<Body>) -> axum::response::Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router().oneshot(request).await.unwrap();
        contract::hold(&method, &path, response).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.send(request(Method::GET, path, &[], None)).await).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.send(request(Method::DELETE, path, &[], None)).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        Answer::of(self.send(request(Method::POST, path, headers, Some(body))).await).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.send(request(Method::PUT, path, &[], Some(body))).await).await
    }

    /// Opens a stream.
    pub(crate) async fn listen(&self, path: &str) -> Listener {
        self.listen_with(path, &[]).await
    }

    pub(crate) async fn listen_with(&self, path: &str, headers: &[(&str, &str)]) -> Listener {
        let response = self.send(request(Method::GET, path, headers, None)).await;
        assert_eq!(response.status(), StatusCode::OK);
        Listener::of(response)
    }

    /// Sends a text and waits until the agent is at rest again. The cursor before it.
    pub(crate) async fn turn(&self, agent: &str, text: &str) -> u64 {
        let queued = self.post(&format!("/api/agents/{agent}/messages"), json!({ "text": text })).await;
        assert_eq!(queued.status, StatusCode::ACCEPTED, "{:?}", queued.json);
        let cursor = queued.json["cursor"].as_u64().unwrap();
        let events = self.listen(&format!("/api/agents/{agent}/stream?since={cursor}")).await.rest().await;
        assert_eq!(events.last().map(Frame::kind), Some("done"));
        cursor
    }

    /// Returns once the agent asks for an approval, with the call's id.
    pub(crate) async fn asked(&self, agent: &str) -> String {
        loop {
            let open = self.get(&format!("/api/agents/{agent}/approvals")).await;
            if let Some(call) = open.json["approvals"][0]["callId"].as_str() {
                return call.to_owned();
            }
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        Some(body) => {
            request.header("content-type", "application/json").body(body.to_string().into()).unwrap()
        }
        None => request.body(Body::empty()).unwrap(),
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null where the body is empty.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn of(response: axum::response::Response) -> Self {
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let json = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Self { status: head.status, headers: head.headers, json }
    }

    /// Status and code of a refusal, whose body must be an error's.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        let fields: Vec<&str> = self.json.as_object().unwrap().keys().map(String::as_str).collect();
        let fields = fields.into_iter().filter(|field| *field != "oldest" || self.status != StatusCode::GONE);
        assert_eq!(fields.collect::<Vec<_>>(), ["code", "error", "requestId", "success"]);
        assert_eq!(self.json["success"], false);
        assert_eq!(self.json["requestId"], self.headers["x-request-id"].to_str().unwrap());
        assert!(self.json["error"].as_str().is_some_and(|error| !error.is_empty()));
        assert_eq!(self.headers["content-type"], "application/json");
        (self.status.as_u16(), self.json["code"].as_str().unwrap())
    }
}

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) id: u64,
    pub(crate) data: Value,
}

impl Frame {
    pub(crate) fn parse(text: &str) -> Self {
        let (id, data) = text.split_once('\n').unwrap();
        let id = id.strip_prefix("id: ").unwrap().parse().unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["cursor"], id);
        contract::hold_envelope(&data);
        Self { id, data }
    }

    pub(crate) fn kind(&self) -> &str {
        self.data["event"]["type"].as_str().unwrap()
    }
}

/// A stream as a client reads it: comments are passed over.
pub(crate) struct Listener {
    pub(crate) headers: HeaderMap,
    body: BodyDataStream,
    buffer: String,
}

impl Listener {
    pub(crate) fn of(response: axum::response::Response) -> Self {
        let (head, body) = response.into_parts();
        Self { headers: head.headers, body: body.into_data_stream(), buffer: String::new() }
    }

    /// The next block of lines, comment or event; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            // A comment is a line; it needs no empty one behind it.
            let end = if self.buffer.starts_with(':') { "\n" } else { "\n\n" };
            if let Some((block, rest)) = self.buffer.split_once(end) {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                return Some(block);
            }
            let more = self.body.next().await?.unwrap();
            self.buffer.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let block = self.block().await?;
            if !block.starts_with(':') {
                return Some(Frame::parse(&block));
            }
        }
    }

    /// The next event of this type.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if frame.kind() == kind {
                return frame;
            }
        }
    }

    /// Everything up to the end.
    pub(crate) async fn rest(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Whether nothing comes for now: the stream is open and silent.
    pub(crate) async fn is_silent(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.next() => false,
            () = settle() => true,
        }
    }
}

/// Lets every task run that can.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn kinds(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(Frame::kind).collect()
}

/// Longer than any heartbeat.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);
