//! What surrounds the state of one writer: the lease, the template with its tools, what the machine may know, and
//! the one way in which a batch is written and told. No loop and no rule about agents.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use crate::agent::Cell;
use crate::id::Millis;
use crate::machine::{Batch, Cx, EffectKey, Input, State, Strategy, View, fnv1a, render, summary_prompt};
use crate::model::ModelRequest;
use crate::registry::Kit;
use crate::runtime::Shared;
use crate::sandbox::{SandboxReport, Workspace};
use crate::store::{Lease, StoreError};
use crate::upkeep::Care;

/// What surrounds the state of one writer.
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cell: Arc<Cell>,
    pub(crate) kit: Arc<Kit>,
    pub(crate) lease: Lease,
    /// Tokens that the agent's model takes, where its provider knows.
    window: Option<u32>,
    /// What holds its processes; none before it has a work directory.
    sandbox: Option<Arc<SandboxReport>>,
    /// How far the journal's time is ahead of this machine's clock.
    ahead: AtomicU64,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<Cell>, kit: Arc<Kit>, lease: Lease) -> Self {
        cell.hold_until(lease.expires);
        let ahead = AtomicU64::new(0);
        let desk = Self { shared, cell, kit, lease, window: None, sandbox: None, ahead };
        let window = desk.shared.model.window(desk.model());
        Self { window, ..desk }
    }

    /// The same for an agent that works in this directory.
    pub(crate) fn in_workspace(self, workspace: &dyn Workspace) -> Self {
        Self { sandbox: Some(workspace.report()), ..self }
    }

    /// What the machine may know now.
    pub(crate) fn cx(&self, state: &State) -> Cx<'_> {
        Cx {
            agent: &self.cell.id,
            epoch: self.lease.epoch,
            now: self.now(state),
            template: &self.kit.template,
            hooks: self.kit.hooks().hooked(),
            window: self.window,
            overhead: self.kit.overhead,
            sandbox: self.sandbox.as_ref().map_or("", |report| &report.level),
        }
    }

    /// The time by the journal, which never runs backwards, and never stands still: where the writer before had a clock
    /// that was ahead, or this one's was set back, it goes on from there as fast as this clock does. So a wait is as
    /// long as it was meant to be.
    fn now(&self, state: &State) -> Millis {
        let here = self.shared.clock.now();
        let ahead = state.updated_at.saturating_sub(here);
        here.saturating_add(self.ahead.fetch_max(ahead, Ordering::Relaxed).max(ahead))
    }

    /// Waits for a time by the journal, or for ever.
    pub(crate) fn until(&self, at: Option<Millis>) -> impl Future<Output = ()> + Send {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let here = |at: Millis| self.shared.clock.until(at.saturating_sub(ahead));
        at.map_or_else(|| pending().left_future(), |at| here(at).right_future())
    }

    /// The name of the agent's model.
    fn model(&self) -> &str {
        self.kit.template.model.as_deref().unwrap_or(&self.shared.default_model)
    }

    /// The request that an effect sends: the prompt of now, or that for a summary of it, which has no tools.
    pub(crate) fn request(&self, state: &State, key: &EffectKey) -> ModelRequest {
        let (prompt, tools) = match summary_prompt(state, &self.cx(state)) {
            Some(summary) => (summary, [].into()),
            None => (render(state, &self.kit.template), self.kit.specs.clone()),
        };
        let name = match key {
            EffectKey::Model { step, attempt } => format!("{step}-{attempt}"),
            EffectKey::Compact { nth, attempt } => format!("summary-{nth}-{attempt}"),
            EffectKey::Prompt { step, .. } => format!("hooks-{step}"),
            EffectKey::Policy { call, .. } => format!("policy-{call}"),
            EffectKey::Hooks { call } => format!("hooks-{call}"),
            EffectKey::Tool { call, attempt } => format!("{call}-{attempt}"),
            EffectKey::Job { job } => job.to_string(),
        };
        let user = fnv1a(self.cell.id.as_str().as_bytes());
        ModelRequest {
            model: prompt.model.unwrap_or_else(|| self.shared.default_model.clone()),
            system: prompt.system.into(),
            messages: prompt.messages,
            turn_start: prompt.turn_start,
            tools,
            max_tokens: prompt.max_tokens,
            request_id: format!("{user:016x}-{}-{name}", self.lease.epoch),
            user: format!("agent-{user:016x}"),
        }
    }

    pub(crate) fn care<'a>(&'a self, state: &'a State) -> Care<'a> {
        Care {
            store: &*self.shared.store,
            lease: &self.lease,
            state,
            forget_before: self.shared.forget_before(),
        }
    }

    /// The earliest sensible time to renew the lease: a third into it.
    pub(crate) fn renew_at(&self) -> Option<Millis> {
        let expires = Some(self.lease.expires).filter(|at| *at != Millis::MAX)?;
        Some(expires.saturating_sub(self.shared.lease_ttl * 2 / 3))
    }

    /// Makes `Opened` and what follows from the first inputs durable: the first act of a writer.
    pub(crate) async fn begin(
        &self,
        state: &mut State,
        strategy: Strategy,
        first: Vec<Input>,
    ) -> Result<(), StoreError> {
        self.cell.feed.attach(state.seq, state.cursor);
        let mut batch = Batch::default();
        for input in [Input::Open { strategy }].into_iter().chain(first) {
            // The first inputs are the runtime's own: they fit the state that it has just loaded.
            if let Err(rejected) = state.step(&self.cx(state), input, &mut batch) {
                tracing::error!(agent = %self.cell.id, %rejected, "an agent's first input was refused");
            }
        }
        let begun = self.commit(state, batch).await;
        if begun.is_err() {
            self.cell.feed.detach();
        }
        begun
    }

    /// Appends, then lets readers see, then tells.
    pub(crate) async fn commit(&self, state: &State, batch: Batch) -> Result<(), StoreError> {
        if let Some(expected) = batch.expected() {
            let append = self.shared.store.append(&self.lease, expected, &batch.entries, batch.grade());
            self.within_lease(append).await?;
            self.cell.show(View::of(state));
            self.cell.feed.publish(batch);
        }
        Ok(())
    }

    /// Prolongs the lease.
    pub(crate) async fn renew(&mut self) -> Result<(), StoreError> {
        let now = self.shared.clock.steady();
        let renew = self.shared.store.renew(&self.lease, self.shared.lease_ttl, now);
        self.lease = self.within_lease(renew).await?;
        self.cell.hold_until(self.lease.expires);
        Ok(())
    }

    /// Whether the lease may have ended: others may have the agent, and nothing is to be started any more.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.lease.expires <= self.shared.clock.steady()
    }

    /// Waits for the store no longer than the lease surely lasts: a writer that hears nothing by then is one no more,
    /// and must not go on running what another takes for lost. Where it has ended already, as after a sleep of the
    /// machine, the store has as long again to say whether another has the agent.
    async fn within_lease<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let clock = &self.shared.clock;
        let until = match self.lease.expires {
            expires if expires > clock.steady() => expires,
            _ => clock.steady().saturating_add(self.shared.lease_ttl),
        };
        let lapsed = async {
            match until {
                Millis::MAX => std::future::pending().await,
                until => clock.until_steady(until).await,
            }
        };
        // The call is looked at first: an answer counts, however late it is seen.
        match select(pin!(call), pin!(lapsed)).await {
            Either::Left((done, _)) => done,
            Either::Right(((), _)) => {
                Err(StoreError::Unavailable("no answer came as long as the lease lasted".into()))
            }
        }
    }
}
