//! Writing one thing down in an agent's journal without running the agent: for a process that has the store
//! and is not to start what follows.

use super::{OpenError, Runtime, Shared};
use crate::id::{AgentId, Epoch};
use crate::machine::{Batch, Cx, Input, Rejected, State, Strategy};
use crate::store::{Lease, StoreError};

/// Why something was not written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The agent could not be had; nothing was changed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The machine refused it; nothing was changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl Runtime {
    /// Writes one input down, synced, and starts nothing: no model is asked and no tool runs. What follows
    /// from it happens where the agent is taken up next, and the agent counts as unfinished until then. Fences
    /// off whoever has the agent. Not cancel safe: a dropped call may have written.
    ///
    /// # Errors
    /// [`RecordError`]; after a failed append of the store's it is not known whether the input is there.
    pub async fn record(&self, id: &AgentId, input: Input) -> Result<(), RecordError> {
        let shared = &self.shared;
        // Everything that may refuse comes before the lease is taken, so that a refusal leaves no trace.
        let (mut known, _) = self.load(id).await?;
        let _rehearsed = take(shared, id, &mut known, None, input.clone())?;
        let now = shared.clock.steady();
        let lease = shared.store.acquire(id, &shared.holder, shared.lease_ttl, now).await?;
        let recorded = self.record_under(&lease, input).await;
        // A lease of which the append is not known to have failed or not is not given back clean.
        let clean = recorded.as_ref().is_ok_and(|at_rest| *at_rest);
        let released = shared.store.release(lease, clean).await;
        recorded?;
        Ok(released?)
    }

    /// Whether the agent is at rest afterwards.
    async fn record_under(&self, lease: &Lease, input: Input) -> Result<bool, RecordError> {
        let (shared, id) = (&self.shared, &lease.agent);
        // Read again: nobody else writes from here on.
        let (mut state, _) = self.load(id).await?;
        let (expected, cursor) = (state.seq, state.cursor);
        let batch = take(shared, id, &mut state, Some(lease.epoch), input)?;
        shared.store.append(lease, expected, &batch.entries, batch.grade()).await?;
        let feed = shared.hub.feed(id);
        feed.attach(expected, cursor);
        feed.publish(batch);
        feed.detach();
        Ok(state.is_idle())
    }
}

/// Takes the input in under an epoch, or, to see whether it would be refused, under the last writer's.
fn take(
    shared: &Shared,
    id: &AgentId,
    state: &mut State,
    epoch: Option<Epoch>,
    input: Input,
) -> Result<Batch, RecordError> {
    let template = state.template.clone().ok_or_else(|| OpenError::NotFound(id.clone()))?;
    let kit = shared.registry.kit(&template).ok_or(OpenError::UnknownTemplate(template))?;
    let cx = Cx {
        agent: id,
        epoch: epoch.unwrap_or(state.epoch),
        now: shared.clock.now().max(state.updated_at),
        template: &kit.template,
        hooks: kit.hooks().hooked(),
        // Of what is about to be asked of the model, which is nothing.
        window: None,
        overhead: kit.overhead,
        // No process runs under it.
        sandbox: "",
    };
    let mut batch = Batch::default();
    let strategy = if state.manual { Strategy::Manual } else { Strategy::Crash };
    state.take(&cx, Input::Open { strategy }, &mut batch)?;
    state.take(&cx, input, &mut batch)?;
    Ok(batch)
}
