//! A runtime whose time, model, store and files belong to the test.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use kode_core::clock::Clock;
use kode_core::event::{Channels, Envelope, Event};
use kode_core::id::{AgentId, Cursor, Millis};
use kode_core::store::memory::MemoryStore;
use kode_core::store::{Lease, Leases, Store};
use kode_core::template::Template;
use kode_core::tool::{ToolCx, ToolError, ToolTraits, Typed, TypedTool};
use kode_core::{Agent, AgentSpec, Runtime, RuntimeBuilder};
use kode_testkit::clock::{CountingIds, SimClock};
use kode_testkit::faulty::{Faults, FaultyStore};
use kode_testkit::scripted_model::{Gate, Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};

/// Takes a gate's time, then answers; counts nothing, changes nothing.
pub(crate) struct Slow(pub(crate) Gate);

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct NoArgs {}

#[async_trait]
impl TypedTool for Slow {
    type Args = NoArgs;
    const NAME: &'static str = "slow";
    const DESCRIPTION: &'static str = "Takes its time.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, _: NoArgs) -> Result<Value, ToolError> {
        cx.emit("begun", json!(null)).await;
        self.0.hold().await;
        Ok(json!("slow and steady"))
    }
}

/// Panics.
pub(crate) struct Broken;

#[async_trait]
impl TypedTool for Broken {
    type Args = NoArgs;
    const NAME: &'static str = "broken";
    const DESCRIPTION: &'static str = "Panics.";

    async fn run(&self, _: &ToolCx, _: NoArgs) -> Result<Value, ToolError> {
        panic!("broken as it says")
    }
}

/// What a test keeps of a runtime.
pub(crate) struct Parts {
    model: Arc<ScriptedModel>,
    clock: Arc<SimClock>,
    faults: Faults,
    gate: Gate,
    store: MemoryStore,
    files: Arc<MemorySandbox>,
}

impl Parts {
    fn world(self, runtime: Runtime) -> World {
        let Self { model, clock, faults, gate, store, files } = self;
        World { model, clock, faults, gate, store, files, runtime }
    }
}

pub(crate) struct World {
    pub(crate) model: Arc<ScriptedModel>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) faults: Faults,
    pub(crate) gate: Gate,
    pub(crate) store: MemoryStore,
    pub(crate) files: Arc<MemorySandbox>,
    pub(crate) runtime: Runtime,
}

impl World {
    pub(crate) fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::with(template(), scripts)
    }

    pub(crate) fn with(template: Template, scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::built(template, scripts, |builder| builder)
    }

    /// One in which events older than this are forgotten.
    pub(crate) fn forgetting(age: Millis, scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::built(template(), scripts, |builder| builder.retention(age))
    }

    /// Another process over the same store.
    pub(crate) fn over(
        store: MemoryStore,
        template: Template,
        scripts: impl IntoIterator<Item = Script>,
    ) -> Self {
        let (builder, parts) = Self::builder_over(store, template, scripts);
        parts.world(builder.build().unwrap())
    }

    /// The same with files, and processes, of the test's own.
    pub(crate) fn in_sandbox(
        store: MemoryStore,
        files: MemorySandbox,
        template: Template,
        scripts: impl IntoIterator<Item = Script>,
        more: impl FnOnce(RuntimeBuilder) -> RuntimeBuilder,
    ) -> Self {
        let (builder, parts) = Self::builder_in(store, files, template, scripts);
        parts.world(more(builder).build().unwrap())
    }

    /// The same with more in its runtime.
    pub(crate) fn built(
        template: Template,
        scripts: impl IntoIterator<Item = Script>,
        more: impl FnOnce(RuntimeBuilder) -> RuntimeBuilder,
    ) -> Self {
        let (builder, parts) = Self::builder(template, scripts);
        parts.world(more(builder).build().unwrap())
    }

    /// A runtime that is not built yet, and what it is made of.
    pub(crate) fn builder(
        template: Template,
        scripts: impl IntoIterator<Item = Script>,
    ) -> (RuntimeBuilder, Parts) {
        Self::builder_over(MemoryStore::default(), template, scripts)
    }

    fn builder_over(
        store: MemoryStore,
        template: Template,
        scripts: impl IntoIterator<Item = Script>,
    ) -> (RuntimeBuilder, Parts) {
        Self::builder_in(store, MemorySandbox::new(), template, scripts)
    }

    fn builder_in(
        store: MemoryStore,
        files: MemorySandbox,
        template: Template,
        scripts: impl IntoIterator<Item = Script>,
    ) -> (RuntimeBuilder, Parts) {
        let (model, clock, gate) =
            (ScriptedModel::new(scripts), Arc::new(SimClock::default()), Gate::default());
        let (files, faults) = (Arc::new(files), Faults::none());
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(store.clone(), faults.clone()));
        let builder = Runtime::builder(faulty, model.clone(), files.clone())
            .tool(Arc::new(Typed(Slow(gate.clone()))))
            .tool(Arc::new(Typed(Broken)))
            .template(template)
            .default_model("scripted-1")
            .clock(clock.clone())
            .ids(Arc::new(CountingIds::default()))
            // Longer than any test moves the clock, so that renewals do not mix in.
            .holder("test", 10_000_000);
        (builder, Parts { model, clock, faults, gate, store, files })
    }

    pub(crate) async fn agent(&self, id: &str) -> Agent {
        self.runtime.resume_or_create(&self.id(id), AgentSpec::default()).await.unwrap().agent
    }

    /// A lease on an agent, for a test that writes beside its driver; who wants the agent again takes it up anew.
    pub(crate) async fn store_lease(&self, id: &AgentId) -> Lease {
        self.store.acquire(id, "test", 10_000_000, self.clock.now()).await.unwrap()
    }

    pub(crate) fn id(&self, id: &str) -> AgentId {
        AgentId::new(id).unwrap()
    }
}

pub(crate) fn template() -> Template {
    Template::new("plain", "You are a test.").with_tools(["slow", "broken"])
}

/// All events from a cursor up to the `done` with which the agent rests.
pub(crate) async fn until_rest(agent: &Agent, after: Cursor) -> Vec<Arc<Envelope>> {
    let mut events = agent.subscribe(Channels::ALL, after);
    let mut told = Vec::new();
    while let Some(envelope) = events.next().await {
        let rests = matches!(envelope.event, Event::Done { at_rest: true, .. });
        told.push(envelope);
        if rests {
            break;
        }
    }
    told
}

/// The types of events, as on the wire.
pub(crate) fn kinds(events: &[Arc<Envelope>]) -> Vec<String> {
    events
        .iter()
        .map(|e| serde_json::to_value(&e.event).unwrap()["type"].as_str().unwrap().to_owned())
        .collect()
}
