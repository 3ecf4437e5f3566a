//! A pool whose time, model, store and files belong to the test, and which can be started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kode_core::event::{DoneReason, Event};
use kode_core::id::{AgentId, Cursor, TemplateId};
use kode_core::model::ToolSpec;
use kode_core::store::Store;
use kode_core::store::memory::MemoryStore;
use kode_core::template::{Permission, Template};
use kode_core::tool::{Tool, ToolCx, ToolError};
use kode_core::{Agent, AgentSpec, Runtime};
use kode_pool::{Pool, PoolOptions};
use kode_testkit::clock::{CountingIds, SimClock};
use kode_testkit::faulty::{Faults, FaultyStore};
use kode_testkit::scripted_model::{Gate, Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};

/// How long an agent of these pools is idle before it is put away.
pub(crate) const IDLE: Duration = Duration::from_secs(120);
/// In how many steps time passes.
const STEPS: u64 = 30;

/// A tool that waits at a gate.
pub(crate) struct Slow(Gate);

#[async_trait]
impl Tool for Slow {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: "slow".into(), description: "Takes its time.".into(), input_schema: json!({}) }
    }

    fn check(&self, _: &Value) -> Result<(), ToolError> {
        Ok(())
    }

    async fn call(&self, _: &ToolCx, _: Value) -> Result<Value, ToolError> {
        self.0.hold().await;
        Ok(json!("slow and steady"))
    }
}

/// What outlives a process: the store, the files, and the time.
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) faults: Faults,
    pub(crate) files: Arc<MemorySandbox>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) model: Arc<ScriptedModel>,
    /// What a model says is held here, and so is the tool.
    pub(crate) gate: Gate,
    /// How often an agent was taken up.
    pub(crate) opened: Arc<AtomicUsize>,
}

impl World {
    /// Every answer is `ok`.
    pub(crate) fn new() -> Self {
        Self::saying(ScriptedModel::always(Script::new().text("ok")))
    }

    /// Every answer is this one.
    pub(crate) fn answering(answer: Script) -> Self {
        Self::saying(ScriptedModel::always(answer))
    }

    /// Each request plays the next script.
    pub(crate) fn playing(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::saying(ScriptedModel::new(scripts))
    }

    /// Every answer waits at the gate before its only word.
    pub(crate) fn held() -> Self {
        let gate = Gate::default();
        let model = ScriptedModel::always(Script::new().hold(&gate).text("ok"));
        Self { gate, ..Self::saying(model) }
    }

    fn saying(model: Arc<ScriptedModel>) -> Self {
        Self {
            store: MemoryStore::shared(),
            faults: Faults::none(),
            files: Arc::new(MemorySandbox::new()),
            clock: Arc::new(SimClock::default()),
            model,
            gate: Gate::default(),
            opened: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Lets time pass in small steps, and whoever waits for one go on after each.
    pub(crate) async fn pass(&self, time: Duration) {
        for _ in 0..STEPS {
            self.clock.advance(u64::try_from(time.as_millis()).unwrap() / STEPS);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A process over all this, with the usual templates.
    pub(crate) fn pool(&self, max_agents: usize) -> Pool {
        self.pool_with(max_agents, usual())
    }

    pub(crate) fn pool_with(&self, max_agents: usize, templates: impl IntoIterator<Item = Template>) -> Pool {
        self.pool_of(("test", 10_000_000), max_agents, templates)
    }

    /// One of several processes over all this, which holds agents for so long.
    pub(crate) fn node(&self, name: &str, lease: u64) -> Pool {
        self.node_with(name, lease, usual())
    }

    pub(crate) fn node_with(
        &self,
        name: &str,
        lease: u64,
        templates: impl IntoIterator<Item = Template>,
    ) -> Pool {
        self.pool_of((name, lease), 10, templates)
    }

    fn pool_of(
        &self,
        (name, lease): (&str, u64),
        max_agents: usize,
        templates: impl IntoIterator<Item = Template>,
    ) -> Pool {
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new(self.store.clone(), self.faults.clone()));
        let opened = self.opened.clone();
        let builder = Runtime::builder(store, self.model.clone(), self.files.clone())
            .tool(Arc::new(Slow(self.gate.clone())))
            .tool(Arc::new(crate::jobs::Serve))
            .clock(self.clock.clone())
            .ids(Arc::new(CountingIds::default()))
            .holder(name, lease)
            .on_agent(move |_| {
                opened.fetch_add(1, Ordering::SeqCst);
            });
        let builder = templates.into_iter().fold(builder, kode_core::RuntimeBuilder::template);
        Pool::new(builder.build().unwrap(), PoolOptions { max_agents, idle: Some(IDLE) })
    }

    pub(crate) fn times_opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

fn usual() -> [Template; 2] {
    let asks = Permission { require_approval: vec!["slow".into()], ..Permission::default() };
    let plain = Template::new("plain", "You are a test.").with_tools(["slow", "serve"]);
    let careful = Template { permission: asks, id: TemplateId::new("careful"), ..plain.clone() };
    [plain, careful]
}

pub(crate) fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

/// The usual template.
pub(crate) fn plain() -> AgentSpec {
    AgentSpec::default()
}

/// The template whose tool asks first.
pub(crate) fn careful() -> AgentSpec {
    AgentSpec { template: Some(TemplateId::new("careful")), ..AgentSpec::default() }
}

pub(crate) async fn made(pool: &Pool, name: &str) -> Agent {
    pool.resume_or_create(&id(name), plain()).await.unwrap().agent
}

/// How each turn after a cursor ended, up to the one with which the agent rests.
pub(crate) async fn dones(pool: &Pool, name: &str, after: Cursor) -> Vec<DoneReason> {
    let mut events = pool.runtime().subscription(&id(name), after);
    let mut reasons = Vec::new();
    while let Some(envelope) = events.next().await.unwrap() {
        if let Event::Done { reason, at_rest, .. } = &envelope.event {
            reasons.push(*reason);
            if *at_rest {
                break;
            }
        }
    }
    reasons
}

/// Returns once the agent's view is so.
pub(crate) async fn until(agent: &Agent, so: impl Fn(&kode_core::machine::View) -> bool) {
    while !so(&agent.view()) {
        tokio::task::yield_now().await;
    }
}
