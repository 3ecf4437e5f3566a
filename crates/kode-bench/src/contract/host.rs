//! The host that is measured: a runtime over the file store, GLM's client and the local sandbox, and its users.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kode_core::event::Event;
use kode_core::hub::Subscription;
use kode_core::id::AgentId;
use kode_core::store::Store;
use kode_core::template::{Permission, PermissionMode, Template};
use kode_core::{Agent, AgentSpec, Runtime};
use kode_provider_glm::{Glm, GlmConfig, GlmKey};
use kode_sandbox::LocalSandbox;
use kode_store_fs::FsStore;

const TOOLS: [&str; 4] = ["fs_read", "fs_write", "todo_read", "todo_write"];

/// A runtime whose store and work directories are below `dir`, and whose model is at `llm` below the stand-in.
pub(crate) fn runtime(dir: &Path, llm: &str) -> anyhow::Result<(Runtime, Arc<dyn Store>)> {
    let store: Arc<dyn Store> = Arc::new(FsStore::open(dir.join("store"))?);
    Ok((on(store.clone(), dir, llm)?, store))
}

/// The same on another store.
pub(crate) fn on(store: Arc<dyn Store>, dir: &Path, llm: &str) -> anyhow::Result<Runtime> {
    let mut config = GlmConfig::new(GlmKey::new("measured.key")?);
    llm.clone_into(&mut config.base_url);
    config.max_concurrency = 100_000;
    let model = Arc::new(Glm::new(config)?);
    let mut template = Template::new("bench", "You are measured.").with_tools(TOOLS);
    template.permission = Permission { mode: PermissionMode::Auto, ..Permission::default() };
    let runtime = Runtime::builder(store, model, Arc::new(LocalSandbox::new(dir.join("work"))?))
        .tools(kode_tools::builtin())
        .template(template)
        .default_model("stand-in")
        .build()?;
    Ok(runtime)
}

/// The model's base for so many chunks, so far apart, with a tool's call first or without.
pub(crate) fn base(llm: &str, chunks: usize, between_us: usize, calls: bool) -> String {
    format!("{llm}/n{chunks}/d{between_us}/t{}/v1", u8::from(calls))
}

/// One user: an agent, and one standing subscriber on all its channels.
pub(crate) struct User {
    agent: Agent,
    events: Subscription,
}

/// What a turn looked like from outside.
#[derive(Default, Clone, Copy)]
pub(crate) struct Turn {
    /// Milliseconds until `done`.
    pub(crate) ms: f64,
    /// Milliseconds until the first piece of text.
    pub(crate) first_ms: f64,
    /// Events seen.
    pub(crate) events: usize,
    /// Characters of text seen.
    pub(crate) chars: usize,
}

impl User {
    /// The user of this number.
    pub(crate) async fn new(runtime: &Runtime, number: usize) -> anyhow::Result<Self> {
        let agent = runtime.resume_or_create(&id(number)?, AgentSpec::default()).await?.agent;
        let events = agent.subscription(agent.view().cursor);
        Ok(Self { agent, events })
    }

    /// The agent.
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Sends a message and reads on until it is answered.
    pub(crate) async fn turn(&mut self) -> anyhow::Result<Turn> {
        let begun = Instant::now();
        let mut turn = Turn::default();
        self.agent.send("and then?").await?;
        loop {
            let envelope = self.events.next().await?.context("the agent is gone")?;
            turn.events += 1;
            match &envelope.event {
                Event::TextChunk { delta, .. } => {
                    if turn.chars == 0 {
                        turn.first_ms = begun.elapsed().as_secs_f64() * 1e3;
                    }
                    turn.chars += delta.len();
                }
                Event::Done { reason, error, .. } => {
                    anyhow::ensure!(error.is_none(), "a turn failed ({reason:?}): {error:?}");
                    turn.ms = begun.elapsed().as_secs_f64() * 1e3;
                    return Ok(turn);
                }
                _ => {}
            }
        }
    }
}

/// The id of the user of this number.
pub(crate) fn id(number: usize) -> anyhow::Result<AgentId> {
    Ok(AgentId::new(format!("user-{number}"))?)
}
