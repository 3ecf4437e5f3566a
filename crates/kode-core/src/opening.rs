//! Taking an agent up: the lease, the state as of the journal's end, and a driver that begins from there.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::agent::Cell;
use crate::driver::{Desk, Driver, Letter};
use crate::host::Host;
use crate::id::AgentId;
use crate::live::{Live, Surroundings, no_call};
use crate::machine::{Input, State, Strategy};
use crate::registry::Kit;
use crate::runtime::Shared;
use crate::sandbox::Workspace;
use crate::store::{After, Lease, Store, StoreError};
use crate::tool::{Cancel, ToolCx};
use crate::upkeep::{Upkeep, restore};

/// Entries read at a time while a state is folded.
const PAGE: usize = 1_024;

/// What it takes to make a driver for an agent, again after the first one lost its store.
pub(crate) struct Opening {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cell: Arc<Cell>,
    pub(crate) kit: Arc<Kit>,
    pub(crate) workspace: Arc<dyn Workspace>,
    pub(crate) mail: mpsc::WeakSender<Letter>,
    pub(crate) strategy: Strategy,
}

impl Opening {
    /// Takes the lease, catches up with the journal and makes `Opened` durable.
    pub(crate) async fn driver(
        &self,
        loaded: (State, Upkeep),
        create: Option<Input>,
    ) -> Result<Driver, StoreError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let lease = shared.store.acquire(&self.cell.id, &shared.holder, shared.lease_ttl, now).await?;
        let loaded = catch_up(&*shared.store, &self.cell.id, loaded).await?;
        if create.is_none() && loaded.0.template.is_none() {
            // Deleted meanwhile: an `Opened` would bring it back as an agent that is none.
            let epoch = lease.epoch;
            shared.store.release(lease, true).await?;
            return Err(StoreError::Fenced { epoch, current: epoch });
        }
        let create = create.filter(|_| loaded.0.template.is_none());
        let (shared, cell, kit) = (shared.clone(), self.cell.clone(), self.kit.clone());
        let live = Live::new(self.surroundings(lease.clone()), &loaded.0.transcript);
        let mut driver = Driver::new(Desk::new(shared, cell, kit, lease), loaded, live);
        driver.open(self.strategy, create.into_iter().collect()).await?;
        Ok(driver)
    }

    fn surroundings(&self, lease: Lease) -> Surroundings {
        let store = self.shared.store.clone();
        let host = Host { cell: self.cell.clone(), mail: self.mail.clone(), store };
        Surroundings {
            shared: self.shared.clone(),
            kit: self.kit.clone(),
            lease,
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

/// Folds a state out of checkpoint and journal, with what is known of the checkpoint.
pub(crate) async fn load(store: &dyn Store, id: &AgentId) -> Result<(State, Upkeep), StoreError> {
    let checkpoint = store.load_checkpoint(id).await?;
    let (mut state, upkeep) = restore(checkpoint.as_ref());
    fold_tail(store, id, &mut state).await?;
    Ok((state, upkeep))
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
    (mut state, upkeep): (State, Upkeep),
) -> Result<(State, Upkeep), StoreError> {
    let head = store.head(id).await?.unwrap_or_default();
    if head.seq < state.seq {
        return load(store, id).await;
    }
    fold_tail(store, id, &mut state).await?;
    Ok((state, upkeep))
}
