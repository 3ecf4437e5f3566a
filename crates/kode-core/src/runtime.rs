//! The runtime: what all agents of one process share, and the ways in which one is taken up.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::agent::{Agent, Cell, Host};
use crate::clock::{Clock, Ids};
use crate::driver::{Desk, Driver, Letter};
use crate::hook::Hook;
use crate::hub::{Hub, Subscription};
use crate::id::{AgentId, Cursor, Millis, Seq, TemplateId};
use crate::live::{Live, Surroundings, no_call};
use crate::machine::{Input, State, View};
use crate::model::Model;
use crate::registry::{Kit, Registry, RegistryError};
use crate::sandbox::{FileError, SandboxFactory, Workspace};
use crate::store::{After, Store, StoreError};
use crate::supervise::supervise;
use crate::template::Template;
use crate::tool::{Cancel, Tool, ToolCx};

/// Letters that may wait for a driver.
const MAILBOX: usize = 256;
/// Entries read at a time while a state is folded.
const PAGE: usize = 1_024;
/// How long a lease lasts without renewal, unless the host says otherwise.
const LEASE_TTL: Millis = 10_000;

/// Why an agent could not be taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no such agent.
    #[error("there is no agent {0}")]
    NotFound(AgentId),
    /// The template is not registered. The agent, if it exists, is as it was.
    #[error("the template {0} is not registered; register it, or name another for a new agent")]
    UnknownTemplate(TemplateId),
    /// No template was named, and the runtime has no default.
    #[error("no template was named for the new agent, and there is no default")]
    NoTemplate,
    /// The work directory could not be had. The agent is as it was.
    #[error("the work directory could not be opened: {0}")]
    Sandbox(FileError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a new agent is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentSpec {
    /// Its template; the runtime's default, if absent.
    pub template: Option<TemplateId>,
    /// The creator's own data.
    pub metadata: Map<String, Value>,
}

/// An agent taken up.
#[derive(Clone)]
pub struct Opened {
    /// Its handle.
    pub agent: Agent,
    /// Whether it did not exist before.
    pub created: bool,
}

type AgentCallback = Arc<dyn Fn(&Agent) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) default_model: String,
    pub(crate) hooks: Arc<[Arc<dyn Hook>]>,
    pub(crate) sandboxes: Arc<dyn SandboxFactory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) hub: Hub,
    pub(crate) holder: String,
    pub(crate) lease_ttl: Millis,
    default_template: Option<TemplateId>,
    on_agent: Vec<AgentCallback>,
}

/// What all agents of one process share. Clones are handles on the same one.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

impl Runtime {
    /// Begins a runtime on these four: everything else has a default.
    #[must_use]
    pub fn builder(
        store: Arc<dyn Store>,
        model: Arc<dyn Model>,
        sandboxes: Arc<dyn SandboxFactory>,
    ) -> RuntimeBuilder {
        RuntimeBuilder {
            store,
            model,
            sandboxes,
            templates: Vec::new(),
            tools: Vec::new(),
            hooks: Vec::new(),
            default_model: String::new(),
            default_template: None,
            clock: Arc::new(crate::system::SystemClock),
            ids: Arc::new(crate::system::RandomIds),
            holder: None,
            lease_ttl: LEASE_TTL,
            on_agent: Vec::new(),
        }
    }

    /// Takes the agent up, or makes it. One live handle an agent is the caller's to keep (a pool does): a
    /// second call fences the first one's driver off.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn resume_or_create(&self, id: &AgentId, spec: AgentSpec) -> Result<Opened, OpenError> {
        let (state, covered) = self.load(id).await?;
        let created = state.template.is_none();
        let template =
            state.template.clone().or(spec.template).or_else(|| self.shared.default_template.clone());
        let template = template.ok_or(OpenError::NoTemplate)?;
        let create = created.then(|| Input::Create { template: template.clone(), metadata: spec.metadata });
        let agent = self.take_up(id, &template, (state, covered), create).await?;
        Ok(Opened { agent, created })
    }

    /// Takes an existing agent up.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn resume(&self, id: &AgentId) -> Result<Agent, OpenError> {
        let (state, covered) = self.load(id).await?;
        let template = state.template.clone().ok_or_else(|| OpenError::NotFound(id.clone()))?;
        self.take_up(id, &template, (state, covered), None).await
    }

    /// Looks at an agent without taking it up: `None` if it does not exist. Takes no lease and writes
    /// nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn look(&self, id: &AgentId) -> Result<Option<View>, StoreError> {
        let (state, _) = self.load(id).await?;
        Ok(state.template.is_some().then(|| View::of(&state)))
    }

    /// The agent's events after a cursor, live or not. Takes no lease and writes nothing.
    #[must_use]
    pub fn subscription(&self, id: &AgentId, after: Cursor) -> Subscription {
        Subscription::new(id.clone(), self.shared.hub.feed(id), self.shared.store.clone(), after)
    }

    /// Folds the agent's state out of the store, with the seq that its checkpoint covers.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(&self, id: &AgentId) -> Result<(State, Seq), StoreError> {
        load(&*self.shared.store, id).await
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// The templates and tools.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The sandboxes.
    #[must_use]
    pub fn sandboxes(&self) -> &Arc<dyn SandboxFactory> {
        &self.shared.sandboxes
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Fresh ids.
    #[must_use]
    pub fn ids(&self) -> &Arc<dyn Ids> {
        &self.shared.ids
    }

    /// The model of templates that name none.
    #[must_use]
    pub fn default_model(&self) -> &str {
        &self.shared.default_model
    }

    /// The provider's short name.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.shared.model.provider()
    }

    /// The template of agents for which none is named.
    #[must_use]
    pub fn default_template(&self) -> Option<&TemplateId> {
        self.shared.default_template.as_ref()
    }

    /// Everything that may refuse comes before the lease is taken, so that a refusal leaves no trace.
    async fn take_up(
        &self,
        id: &AgentId,
        template: &TemplateId,
        loaded: (State, Seq),
        create: Option<Input>,
    ) -> Result<Agent, OpenError> {
        let kit = self.shared.registry.kit(template).cloned();
        let kit = kit.ok_or_else(|| OpenError::UnknownTemplate(template.clone()))?;
        let opened = self.shared.sandboxes.open(id, &kit.template.sandbox).await;
        let workspace = opened.map_err(OpenError::Sandbox)?;
        let (mail, letters) = mpsc::channel(MAILBOX);
        let cell = Cell::new(id.clone(), self.shared.hub.feed(id), View::of(&loaded.0));
        let opening = Opening {
            shared: self.shared.clone(),
            cell: Arc::new(cell),
            kit,
            workspace: workspace.clone(),
            mail: mail.downgrade(),
        };
        let driver = opening.driver(loaded, create).await?;
        let agent = Agent {
            cell: opening.cell.clone(),
            mail,
            store: self.shared.store.clone(),
            ids: self.shared.ids.clone(),
            report: workspace.report(),
        };
        tokio::spawn(supervise(opening, driver, letters));
        self.shared.on_agent.iter().for_each(|callback| callback(&agent));
        Ok(agent)
    }
}

/// What it takes to make a driver for an agent, again after the first one lost its store.
pub(crate) struct Opening {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cell: Arc<Cell>,
    kit: Arc<Kit>,
    workspace: Arc<dyn Workspace>,
    mail: mpsc::WeakSender<Letter>,
}

impl Opening {
    /// Takes the lease, catches up with the journal and makes `Opened` durable.
    pub(crate) async fn driver(
        &self,
        loaded: (State, Seq),
        create: Option<Input>,
    ) -> Result<Driver, StoreError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let lease = shared.store.acquire(&self.cell.id, &shared.holder, shared.lease_ttl, now).await?;
        let loaded = catch_up(&*shared.store, &self.cell.id, loaded).await?;
        let create = create.filter(|_| loaded.0.template.is_none());
        let (shared, cell, kit) = (shared.clone(), self.cell.clone(), self.kit.clone());
        let mut driver =
            Driver::new(Desk { shared, cell, kit, lease }, loaded, Live::new(self.surroundings()));
        driver.open(create.into_iter().collect()).await?;
        Ok(driver)
    }

    fn surroundings(&self) -> Surroundings {
        let host = Host { cell: self.cell.clone(), mail: self.mail.clone() };
        Surroundings {
            kit: self.kit.clone(),
            model: self.shared.model.clone(),
            hooks: self.shared.hooks.clone(),
            tool_cx: ToolCx {
                agent: self.cell.id.clone(),
                call: no_call(&self.cell.id),
                workspace: self.workspace.clone(),
                host: Arc::new(host),
                cancel: Cancel::default(),
            },
        }
    }
}

/// Folds a state out of checkpoint and journal, with the seq that the checkpoint covers.
pub(crate) async fn load(store: &dyn Store, id: &AgentId) -> Result<(State, Seq), StoreError> {
    let checkpoint = store.load_checkpoint(id).await?;
    let mut state = checkpoint.as_ref().and_then(State::from_checkpoint).unwrap_or_default();
    let covered = state.seq;
    fold_tail(store, id, &mut state).await?;
    Ok((state, covered))
}

async fn fold_tail(store: &dyn Store, id: &AgentId, state: &mut State) -> Result<(), StoreError> {
    loop {
        let entries = store.read(id, After::Seq(state.seq), PAGE).await?;
        entries.iter().for_each(|entry| state.evolve(entry));
        if entries.len() < PAGE {
            return Ok(());
        }
    }
}

/// A state loaded before the lease was taken may lack entries of an older writer, or hold some of a tail
/// that was cut.
async fn catch_up(
    store: &dyn Store,
    id: &AgentId,
    (mut state, covered): (State, Seq),
) -> Result<(State, Seq), StoreError> {
    let head = store.head(id).await?.unwrap_or_default();
    if head.seq < state.seq {
        return load(store, id).await;
    }
    fold_tail(store, id, &mut state).await?;
    Ok((state, covered))
}

/// Builds a [`Runtime`].
pub struct RuntimeBuilder {
    store: Arc<dyn Store>,
    model: Arc<dyn Model>,
    sandboxes: Arc<dyn SandboxFactory>,
    templates: Vec<Template>,
    tools: Vec<Arc<dyn Tool>>,
    hooks: Vec<Arc<dyn Hook>>,
    default_model: String,
    default_template: Option<TemplateId>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    holder: Option<String>,
    lease_ttl: Millis,
    on_agent: Vec<AgentCallback>,
}

impl RuntimeBuilder {
    /// Adds a template. The first one is the default unless another is named.
    #[must_use]
    pub fn template(mut self, template: Template) -> Self {
        self.templates.push(template);
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: Arc<dyn Tool>) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds tools.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Adds a hook; the first that has something to say on a call says it.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Names the model of templates that name none.
    #[must_use]
    pub fn default_model(mut self, model: impl Into<String>) -> Self {
        self.default_model = model.into();
        self
    }

    /// Names the template of agents for which none is named.
    #[must_use]
    pub fn default_template(mut self, template: TemplateId) -> Self {
        self.default_template = Some(template);
        self
    }

    /// Takes time from elsewhere than the system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes ids from elsewhere than chance.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Names this process among those that share the store, and says how long it holds an agent without
    /// renewing.
    #[must_use]
    pub fn holder(mut self, name: impl Into<String>, lease_ttl: Millis) -> Self {
        self.holder = Some(name.into());
        self.lease_ttl = lease_ttl;
        self
    }

    /// Calls back with each agent that is created or resumed, so that no binding is forgotten.
    #[must_use]
    pub fn on_agent(mut self, callback: impl Fn(&Agent) + Send + Sync + 'static) -> Self {
        self.on_agent.push(Arc::new(callback));
        self
    }

    /// Checks that templates and tools fit, and gives the runtime.
    ///
    /// # Errors
    /// What does not fit.
    pub fn build(self) -> Result<Runtime, RegistryError> {
        let first = self.templates.first().map(|t| t.id.clone());
        let holder = self.holder.unwrap_or_else(|| format!("node-{}", self.ids.agent_suffix()));
        let shared = Shared {
            registry: Registry::new(self.templates, self.tools)?,
            store: self.store,
            model: self.model,
            default_model: self.default_model,
            hooks: self.hooks.into(),
            sandboxes: self.sandboxes,
            clock: self.clock,
            ids: self.ids,
            hub: Hub::default(),
            holder,
            lease_ttl: self.lease_ttl,
            default_template: self.default_template.or(first),
            on_agent: self.on_agent,
        };
        Ok(Runtime { shared: Arc::new(shared) })
    }
}
