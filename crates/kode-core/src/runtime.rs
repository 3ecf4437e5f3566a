//! The runtime: what all agents of one process share, and the ways in which one is taken up.

mod builder;
mod fork;
mod record;
mod retention;

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub use self::builder::RuntimeBuilder;
pub use self::fork::{ForkError, ForkSpec, ForkWorkspace, Forked};
pub use self::record::RecordError;
use crate::agent::{Agent, Cell};
use crate::clock::{Clock, Ids};
use crate::driver::{Driver, Letter};
use crate::hub::Hub;
use crate::id::{AgentId, Cursor, Millis, Seq, TemplateId};
use crate::lineage::{Ancestor, Files};
use crate::live::Stuck;
use crate::machine::{Input, State, Strategy, View};
use crate::model::Model;
use crate::opening::{Opening, load};
use crate::registry::{Kit, Registry};
use crate::sandbox::{FileError, SandboxFactory, Workspace};
use crate::secrets::Secrets;
use crate::store::{After, Store, StoreError};
use crate::supervise::supervise;
use crate::upkeep::Upkeep;

/// Letters that may wait for a driver.
const MAILBOX: usize = 256;
/// Among so many entries of a journal is the one that says how its agent came to exist.
const FIRST_ENTRIES: usize = 8;

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
    /// An open call needs a tool that the template does not have. The agent is as it was.
    #[error(
        "a call of {agent} needs the tool {tool}, which its template {template} does not have; register it, or resume \
         with overrides that let such calls fail"
    )]
    MissingTool {
        /// Whose call.
        agent: AgentId,
        /// Which tool.
        tool: String,
        /// The template in force.
        template: TemplateId,
    },
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

/// How an existing agent is taken up. The default is a start after a crash with nothing replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResumeOptions {
    /// What becomes of calls that were running when the last writer ended.
    pub strategy: Strategy,
    /// A registered template to use in place of the agent's own, as long as it is live here. Nothing of it is
    /// kept: the next resume goes by the agent's own again.
    pub template: Option<TemplateId>,
    /// Lets open calls of tools that the template does not have fail, instead of refusing to resume: the model
    /// is told that the tool is gone.
    pub without_missing_tools: bool,
}

/// An agent taken up.
#[derive(Clone)]
pub struct Opened {
    /// Its handle.
    pub agent: Agent,
    /// Whether it did not exist before.
    pub created: bool,
}

pub(crate) type AgentCallback = Arc<dyn Fn(&Agent) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) default_model: String,
    pub(crate) sandboxes: Arc<dyn SandboxFactory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) hub: Hub,
    pub(crate) stuck: Stuck,
    pub(crate) secrets: Secrets,
    pub(crate) prices: crate::price::Prices,
    pub(crate) holder: String,
    pub(crate) lease_ttl: Millis,
    pub(crate) retention: Option<Millis>,
    pub(crate) default_template: Option<TemplateId>,
    pub(crate) on_agent: Vec<AgentCallback>,
}

impl Shared {
    /// Events that were made before this time are told to nobody any more.
    pub(crate) fn forget_before(&self) -> Option<Millis> {
        self.retention.map(|age| self.clock.now().saturating_sub(age))
    }
}

/// What all agents of one process share. Clones are handles on the same one.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

impl Runtime {
    /// Begins a runtime on these three: everything else has a default.
    #[must_use]
    pub fn builder(
        store: Arc<dyn Store>,
        model: Arc<dyn Model>,
        sandboxes: Arc<dyn SandboxFactory>,
    ) -> RuntimeBuilder {
        RuntimeBuilder::new(store, model, sandboxes)
    }

    /// Takes the agent up, or makes it. One live handle an agent is the caller's to keep (a pool does): a
    /// second call fences the first one's driver off.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn resume_or_create(&self, id: &AgentId, spec: AgentSpec) -> Result<Opened, OpenError> {
        let (state, upkeep) = load(&*self.shared.store, id).await?;
        let created = state.template.is_none();
        let template =
            state.template.clone().or(spec.template).or_else(|| self.shared.default_template.clone());
        let template = template.ok_or(OpenError::NoTemplate)?;
        let create = created.then(|| Input::Create { template: template.clone(), metadata: spec.metadata });
        let how = ResumeOptions { template: Some(template), ..ResumeOptions::default() };
        let agent = self.take_up(id, how, (state, upkeep), create).await?;
        Ok(Opened { agent, created })
    }

    /// Takes an existing agent up as after a crash.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn resume(&self, id: &AgentId) -> Result<Agent, OpenError> {
        self.resume_with(id, ResumeOptions::default()).await
    }

    /// Takes an existing agent up in a way of the host's own.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn resume_with(&self, id: &AgentId, options: ResumeOptions) -> Result<Agent, OpenError> {
        let (state, upkeep) = load(&*self.shared.store, id).await?;
        let own = state.template.clone().ok_or_else(|| OpenError::NotFound(id.clone()))?;
        let template = Some(options.template.unwrap_or(own));
        self.take_up(id, ResumeOptions { template, ..options }, (state, upkeep), None).await
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

    /// The cursor behind which every event of an agent is still told; zero where nothing is forgotten. What lies
    /// before is older than the runtime's retention, and not to be read on. Costs a few reads where there is a
    /// retention, and nothing without.
    ///
    /// # Errors
    /// The store's.
    pub async fn oldest(&self, id: &AgentId) -> Result<Cursor, StoreError> {
        match self.shared.forget_before() {
            Some(time) => retention::oldest(&*self.shared.store, id, time).await,
            None => Ok(Cursor::ZERO),
        }
    }

    /// Removes an agent for good without taking it up: for one whose template, work directory or disk space
    /// is gone. Fences off whoever has it; its readers end.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self, id: &AgentId) -> Result<(), StoreError> {
        let shared = &self.shared;
        let lease = shared.store.acquire(id, &shared.holder, shared.lease_ttl, shared.clock.steady()).await?;
        shared.store.delete(lease).await?;
        shared.hub.feed(id).close();
        Ok(())
    }

    /// Clears the mark of unfinished work of an agent that is at rest and that nobody has taken up.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, id: &AgentId) -> Result<(), StoreError> {
        let shared = &self.shared;
        let lease = shared.store.acquire(id, &shared.holder, shared.lease_ttl, shared.clock.steady()).await?;
        shared.store.release(lease, true).await
    }

    /// Folds the agent's state out of the store, with the seq that its checkpoint covers.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(&self, id: &AgentId) -> Result<(State, Seq), StoreError> {
        let (state, upkeep) = load(&*self.shared.store, id).await?;
        Ok((state, upkeep.covered()))
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

    /// What this process holds agents as.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.shared.holder
    }

    /// How long it holds an agent without renewing.
    #[must_use]
    pub fn lease_ttl(&self) -> Millis {
        self.shared.lease_ttl
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

    /// The agents that this one goes back to, oldest first, without folding its journal: `None` if it does not exist
    /// or is no fork. Takes no lease and writes nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn lineage(&self, id: &AgentId) -> Result<Option<Vec<Ancestor>>, StoreError> {
        let first = self.shared.store.read(id, After::Seq(Seq::ZERO), FIRST_ENTRIES).await?;
        let mut state = State::default();
        first.iter().for_each(|entry| state.evolve(entry));
        Ok(Some(state.lineage.to_vec()).filter(|lineage| !lineage.is_empty()))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Everything that may refuse comes before the lease is taken, so that a refusal leaves no trace.
    async fn take_up(
        &self,
        id: &AgentId,
        how: ResumeOptions,
        loaded: (State, Upkeep),
        create: Option<Input>,
    ) -> Result<Agent, OpenError> {
        let template = how.template.ok_or(OpenError::NoTemplate)?;
        let kit = self.kit(&template)?;
        let missing = loaded.0.tools_to_run().find(|tool| kit.tool(tool).is_none()).map(str::to_owned);
        if let Some(tool) = missing.filter(|_| !how.without_missing_tools) {
            return Err(OpenError::MissingTool { agent: id.clone(), tool, template });
        }
        let workspace = self.workspace(id, &loaded.0.files, &kit).await?;
        let (mut opening, mail, letters) = self.opening(self.cell(id, &loaded.0), kit, workspace);
        opening.strategy = how.strategy;
        let driver = opening.driver(loaded, create).await?;
        Ok(self.live(opening, driver, mail, letters))
    }

    fn kit(&self, template: &TemplateId) -> Result<Arc<Kit>, OpenError> {
        let kit = self.shared.registry.kit(template).cloned();
        kit.ok_or_else(|| OpenError::UnknownTemplate(template.clone()))
    }

    fn cell(&self, id: &AgentId, state: &State) -> Arc<Cell> {
        Arc::new(Cell::new(id.clone(), self.shared.hub.feed(id), View::of(state)))
    }

    /// The work directory that an agent works in. What a fork's needs is seen to first, in case a crash came
    /// between.
    async fn workspace(
        &self,
        id: &AgentId,
        files: &Files,
        kit: &Kit,
    ) -> Result<Arc<dyn Workspace>, OpenError> {
        let sandboxes = &self.shared.sandboxes;
        let opened = async {
            match (files, sandboxes.forks()) {
                (Files::Copied { ticket }, Some(forks)) => forks.settle(ticket, id).await?,
                (Files::Shared { owner }, Some(forks)) => forks.share(owner, id).await?,
                (Files::Own, _) | (Files::Copied { .. } | Files::Shared { .. }, None) => {}
            }
            sandboxes.open(files.owner(id), &kit.template.sandbox).await
        };
        opened.await.map_err(OpenError::Sandbox)
    }

    fn opening(
        &self,
        cell: Arc<Cell>,
        kit: Arc<Kit>,
        workspace: Arc<dyn Workspace>,
    ) -> (Opening, mpsc::Sender<Box<Letter>>, mpsc::Receiver<Box<Letter>>) {
        let (mail, letters) = mpsc::channel(MAILBOX);
        let (shared, strategy) = (self.shared.clone(), Strategy::default());
        let opening = Opening { shared, cell, kit, workspace, mail: mail.downgrade(), strategy };
        (opening, mail, letters)
    }

    /// Sets the agent's task going.
    fn live(
        &self,
        opening: Opening,
        driver: Box<Driver>,
        mail: mpsc::Sender<Box<Letter>>,
        letters: mpsc::Receiver<Box<Letter>>,
    ) -> Agent {
        let agent = Agent {
            cell: opening.cell.clone(),
            mail,
            shared: self.shared.clone(),
            report: opening.workspace.report(),
        };
        tokio::spawn(supervise(opening, driver, letters));
        self.shared.on_agent.iter().for_each(|callback| callback(&agent));
        agent
    }
}
