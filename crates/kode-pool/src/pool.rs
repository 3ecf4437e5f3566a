//! The pool: one live agent a name, however many ask for it, and no more agents than there are places.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kode_core::id::{AgentId, TemplateId};
use kode_core::machine::View;
use kode_core::sandbox::SandboxReport;
use kode_core::store::StoreError;
use kode_core::{Agent, AgentSpec, Opened, Outgoing, ResumeOptions, Runtime, SendError, Sent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::due::Due;
use crate::error::PoolError;
use crate::idle::Idle;
use crate::slots::{Entry, Flight, Grip, Hold, Resident, Seized, Slots};

/// How a pool behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Most agents in memory at once; at least 1.
    pub max_agents: usize,
    /// An agent that nobody asked for in this time, and that is not at work, is put away; never without.
    pub idle: Option<Duration>,
}

impl Default for PoolOptions {
    /// 1,000 agents, half an hour.
    fn default() -> Self {
        Self { max_agents: 1_000, idle: Some(Duration::from_secs(1_800)) }
    }
}

/// How full a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Agents in memory.
    pub resident: usize,
    /// Most agents in memory at once.
    pub max: usize,
    /// Agents put away to make room or because they were idle, since the pool was made.
    pub evicted: u64,
}

/// All live agents of one process. Clones are handles on the same one.
///
/// Concurrent callers for one name meet one opening and one live agent. A failed opening is told to those
/// who waited for it and is not remembered. An agent whose driver ended by itself is opened anew.
#[derive(Clone)]
pub struct Pool {
    pub(crate) inner: Arc<Inner>,
}

/// What a name is opened for.
#[derive(Clone)]
enum Ask {
    /// For whoever is there, or for a new agent.
    Create(AgentSpec),
    /// For whoever is there.
    Resume(ResumeOptions),
}

pub(crate) struct Inner {
    pub(crate) runtime: Runtime,
    pub(crate) slots: Slots,
    places: Arc<Semaphore>,
    max: usize,
    pub(crate) evicted: AtomicU64,
    pub(crate) idle: Idle,
    /// What was enforced around the last agent of each template: hosts do not change under a process.
    sandboxes: Mutex<HashMap<TemplateId, Arc<SandboxReport>>>,
    pub(crate) due: Due,
    /// Whether a watch is kept, which finds what other nodes leave.
    pub(crate) watched: AtomicBool,
}

impl Pool {
    /// An empty pool over a runtime. Nobody else may take agents of that runtime up.
    #[must_use]
    pub fn new(runtime: Runtime, options: PoolOptions) -> Self {
        let max = options.max_agents.clamp(1, Semaphore::MAX_PERMITS);
        let inner = Inner {
            runtime,
            slots: Slots::default(),
            places: Arc::new(Semaphore::new(max)),
            max,
            evicted: AtomicU64::new(0),
            idle: Idle::after(options.idle),
            sandboxes: Mutex::default(),
            due: Due::default(),
            watched: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The runtime that all agents share.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    /// The live agent of this name, or the one in the store taken up. It may be put away as soon as it is at
    /// rest: [`Pool::ask`] holds it meanwhile. Cancel safe: an opening that began goes on for those who ask
    /// next.
    ///
    /// # Errors
    /// [`PoolError::NotFound`] where there is none; otherwise as [`Pool::resume_or_create`].
    pub async fn get(&self, id: &AgentId) -> Result<Agent, PoolError> {
        self.existing(id).await.map(|grip| grip.opened.agent)
    }

    /// As [`Pool::get`], taken up in a way of the host's own. One that is live already is given as it is.
    ///
    /// # Errors
    /// As [`Pool::get`].
    pub async fn resume_with(&self, id: &AgentId, options: ResumeOptions) -> Result<Agent, PoolError> {
        self.check_exists(id).await?;
        self.enter(id, Ask::Resume(options)).await.map(|grip| grip.opened.agent)
    }

    /// The live agent of this name, the one in the store taken up, or a new one. `created` is true for one
    /// caller only. Cancel safe as [`Pool::get`].
    ///
    /// # Errors
    /// [`PoolError::OtherTemplate`] where it exists and `spec` names another; the opening's; `Full`;
    /// `Draining`.
    pub async fn resume_or_create(&self, id: &AgentId, spec: AgentSpec) -> Result<Opened, PoolError> {
        self.gripped(id, spec).await.map(|grip| grip.opened)
    }

    /// Sends a message to the agent, which is taken up or created for it. One that is put away between the
    /// two is taken up again, once. The message is in the journal, synced, when this returns. Not cancel
    /// safe: see [`Agent::send`].
    ///
    /// # Errors
    /// As [`Pool::resume_or_create`] and [`Agent::send`].
    pub async fn send(&self, id: &AgentId, spec: AgentSpec, message: Outgoing) -> Result<Sent, PoolError> {
        let first = self.gripped(id, spec.clone()).await?;
        match first.opened.agent.send(message.clone()).await {
            Err(SendError::Gone) => {
                let again = self.gripped(id, spec).await?;
                Ok(again.opened.agent.send(message).await?)
            }
            sent => Ok(sent?),
        }
    }

    /// Asks an existing agent something, which keeps it in memory meanwhile, with [`Pool::send`]'s second
    /// try.
    ///
    /// # Errors
    /// As [`Pool::get`], and what the agent answers.
    pub async fn ask<T, F>(&self, id: &AgentId, ask: impl Fn(Agent) -> F) -> Result<T, PoolError>
    where
        F: Future<Output = Result<T, SendError>>,
    {
        let first = self.existing(id).await?;
        match ask(first.opened.agent.clone()).await {
            Err(SendError::Gone) => {
                let again = self.existing(id).await?;
                Ok(ask(again.opened.agent.clone()).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Looks at an agent: the live one's snapshot, or the store's. Takes no lease, writes nothing, and does
    /// not count as a use. `None` if it does not exist.
    ///
    /// # Errors
    /// The store's.
    pub async fn look(&self, id: &AgentId) -> Result<Option<Arc<View>>, StoreError> {
        match self.resident(id) {
            Some(agent) => Ok(Some(agent.view())),
            None => Ok(self.runtime().look(id).await?.map(Arc::new)),
        }
    }

    /// The agent if it is live here; does not count as a use. One whose lease may have ended is not: it is the store
    /// that knows it.
    #[must_use]
    pub fn resident(&self, id: &AgentId) -> Option<Agent> {
        self.inner.slots.peek(id).filter(Agent::is_held)
    }

    /// Whether the agent is live here.
    #[must_use]
    pub fn is_resident(&self, id: &AgentId) -> bool {
        self.resident(id).is_some()
    }

    /// Whether [`Pool::shutdown`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.slots.is_draining()
    }

    /// How full the pool is.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            resident: self.inner.slots.live_count(),
            max: self.inner.max,
            evicted: self.inner.evicted.load(Ordering::Relaxed),
        }
    }

    /// What is enforced around agents of this template; `None` until one was taken up here.
    #[must_use]
    pub fn sandbox(&self, template: &TemplateId) -> Option<Arc<SandboxReport>> {
        self.inner.sandboxes.lock().unwrap_or_else(PoisonError::into_inner).get(template).cloned()
    }

    async fn existing(&self, id: &AgentId) -> Result<Grip, PoolError> {
        self.check_exists(id).await?;
        self.enter(id, Ask::Resume(ResumeOptions::default())).await
    }

    async fn check_exists(&self, id: &AgentId) -> Result<(), PoolError> {
        let exists = self.resident(id).is_some() || self.runtime().store().head(id).await?.is_some();
        exists.then_some(()).ok_or_else(|| PoolError::NotFound(id.clone()))
    }

    async fn gripped(&self, id: &AgentId, spec: AgentSpec) -> Result<Grip, PoolError> {
        let asked = spec.template.clone();
        let grip = self.enter(id, Ask::Create(spec)).await?;
        let has = grip.opened.agent.view().template.clone();
        match has.filter(|has| asked.is_some_and(|asked| asked != *has)) {
            Some(has) => Err(PoolError::OtherTemplate(has)),
            None => Ok(grip),
        }
    }

    async fn enter(&self, id: &AgentId, ask: Ask) -> Result<Grip, PoolError> {
        loop {
            match self.inner.slots.enter(id)? {
                Entry::Live(grip) => return Ok(grip),
                Entry::Lead(hold, land, flight) => {
                    let (inner, ask) = (self.inner.clone(), ask.clone());
                    // A task of its own: who asked may go away, who joined must not suffer from it.
                    tokio::spawn(async move {
                        let landing = inner.open(hold, ask).await;
                        // Nobody may be waiting any more.
                        let _ = land.send(landing);
                    });
                    return landed(flight).await;
                }
                Entry::Join(flight) => match landed(flight).await {
                    // It was opened by one who would not create it.
                    Err(PoolError::NotFound(_)) if matches!(ask, Ask::Create(_)) => {}
                    joined => {
                        return joined.map(|mut grip| {
                            grip.opened.created = false;
                            grip
                        });
                    }
                },
                Entry::Wait(departure) => drop(departure.await),
            }
        }
    }

    /// Takes a name out of use, whatever it is doing.
    pub(crate) async fn seize(&self, id: &AgentId) -> (Hold, Option<Resident>) {
        loop {
            match self.inner.slots.seize(id) {
                Seized::Held(hold, resident) => return (hold, resident),
                Seized::Opening(flight) => drop(flight.await),
                Seized::Leaving(departure) => drop(departure.await),
            }
        }
    }
}

async fn landed(flight: Flight) -> Result<Grip, PoolError> {
    flight.await.unwrap_or(Err(PoolError::Panicked))
}

impl Inner {
    async fn open(self: &Arc<Self>, hold: Hold, ask: Ask) -> Result<Grip, PoolError> {
        let place = self.place().await?;
        let opened = match ask {
            Ask::Create(spec) => self.runtime.resume_or_create(hold.id(), spec).await?,
            Ask::Resume(options) => {
                Opened { agent: self.runtime.resume_with(hold.id(), options).await?, created: false }
            }
        };
        self.due.forget(hold.id());
        self.watch_idle();
        self.remember_sandbox(&opened.agent);
        let resident = Resident::new(opened.agent, place);
        let grip = resident.grip(opened.created);
        hold.settle(resident);
        Ok(grip)
    }

    /// A free place, made by putting the least recently used agent that may sleep away where there is none.
    pub(crate) async fn place(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, PoolError> {
        // Each agent is asked to go once. One that waits for its store stays, however often it is asked.
        let mut asks = self.slots.live_count();
        loop {
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return Ok(place);
            }
            let victim = if asks > 0 { self.slots.seize_victim() } else { None };
            let (hold, resident) = victim.ok_or(PoolError::Full { max: self.max })?;
            asks -= 1;
            if resident.agent.put_away(false).await {
                self.fell_asleep(&resident.agent);
                tracing::debug!(agent = %hold.id(), "put away to make room");
                self.evicted.fetch_add(1, Ordering::Relaxed);
                drop(hold);
                return Ok(resident.place);
            }
            hold.settle(resident);
        }
    }

    /// One that waits for a person is not forgotten: it is taken up when the first approval expires.
    pub(crate) fn fell_asleep(self: &Arc<Self>, agent: &Agent) {
        if let Some(at) = agent.view().wakes_at() {
            self.wake_at(agent.id(), at);
        }
    }

    pub(crate) fn remember_sandbox(&self, agent: &Agent) {
        if let Some(template) = agent.view().template.clone() {
            let mut known = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(template, agent.sandbox().clone());
        }
    }
}
