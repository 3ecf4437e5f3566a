//! Taking an agent up: the lease, the state as of the journal's end, and a driver that begins from there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::mpsc;

use crate::agent::Cell;
use crate::desk::Desk;
use crate::driver::{Driver, Letter};
use crate::fact::Entry;
use crate::host::Host;
use crate::id::{AgentId, Seq};
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
    pub(crate) mail: mpsc::WeakSender<Box<Letter>>,
    pub(crate) strategy: Strategy,
}

impl Opening {
    /// Takes the lease, catches up with the journal and makes `Opened` durable.
    pub(crate) async fn driver(
        &self,
        loaded: (State, Upkeep),
        create: Option<Input>,
    ) -> Result<Box<Driver>, StoreError> {
        let (desk, loaded) = lease(&self.shared, &self.cell, &self.kit, loaded).await?;
        if create.is_none() && loaded.0.template.is_none() {
            // Deleted meanwhile: an `Opened` would bring it back as an agent that is none.
            let epoch = desk.lease.epoch;
            desk.shared.store.release(desk.lease, true).await?;
            return Err(StoreError::Fenced { epoch, current: epoch });
        }
        let create = create.filter(|_| loaded.0.template.is_none());
        let mut driver = self.drive(desk, loaded);
        if let Err(error) = driver.open(self.strategy, create.into_iter().collect()).await {
            self.cell.feed.detach();
            return Err(error);
        }
        Ok(driver)
    }

    /// A driver for whoever has the lease and has begun to write.
    pub(crate) fn drive(&self, desk: Desk, loaded: (State, Upkeep)) -> Box<Driver> {
        let live = Live::new(self.surroundings(desk.lease.clone()), &loaded.0.transcript);
        Driver::new(desk.in_workspace(&*self.workspace), loaded, live)
    }

    fn surroundings(&self, lease: Lease) -> Surroundings {
        let store = self.shared.store.clone();
        let secrets = self.shared.secrets.clone();
        let host =
            Host { cell: self.cell.clone(), mail: self.mail.clone(), store, secrets, read: Mutex::default() };
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
                time_limit: Duration::from_secs(self.kit.template.limits.tool_timeout_secs),
            },
        }
    }
}

/// Takes the lease of an agent that is to be made. Where there is one of the name, nothing is written, and the error
/// is [`StoreError::Conflict`] with [`Seq::ZERO`] expected.
pub(crate) async fn claim(
    shared: &Arc<Shared>,
    cell: &Arc<Cell>,
    kit: &Arc<Kit>,
) -> Result<(Desk, (State, Upkeep)), StoreError> {
    let (desk, (state, upkeep)) = lease(shared, cell, kit, restore(None)).await?;
    if state.template.is_some() {
        desk.shared.store.release(desk.lease, state.is_idle()).await?;
        return Err(StoreError::Conflict { expected: Seq::ZERO, actual: state.seq });
    }
    Ok((desk, (state, upkeep)))
}

/// Takes the lease and catches up with the journal.
async fn lease(
    shared: &Arc<Shared>,
    cell: &Arc<Cell>,
    kit: &Arc<Kit>,
    loaded: (State, Upkeep),
) -> Result<(Desk, (State, Upkeep)), StoreError> {
    let now = shared.clock.steady();
    let lease = shared.store.acquire(&cell.id, &shared.holder, shared.lease_ttl, now).await?;
    let loaded = catch_up(&*shared.store, &cell.id, loaded).await?;
    let (shared, cell, kit) = (shared.clone(), cell.clone(), kit.clone());
    Ok((Desk::new(shared, cell, kit, lease), loaded))
}

/// Folds the entries at or below `at`, from a checkpoint where there is one of that time.
pub(crate) async fn load_up_to(store: &dyn Store, id: &AgentId, at: Seq) -> Result<State, StoreError> {
    let checkpoint = store.load_checkpoint(id).await?.filter(|checkpoint| checkpoint.seq <= at);
    let mut state = checkpoint.as_ref().and_then(State::from_checkpoint).unwrap_or_default();
    let mut read = state.seq;
    loop {
        let entries = store.read(id, After::Seq(read), PAGE).await?;
        entries.iter().take_while(|entry| entry.seq <= at).for_each(|entry| state.evolve(entry));
        match entries.last() {
            Some(last) if last.seq < at && entries.len() == PAGE => read = last.seq,
            Some(_) | None => return Ok(state),
        }
    }
}

/// Folds a state out of checkpoint and journal, with what is known of the checkpoint.
pub(crate) async fn load(store: &dyn Store, id: &AgentId) -> Result<(State, Upkeep), StoreError> {
    let checkpoint = store.load_checkpoint(id).await?;
    let covered = checkpoint.as_ref().map(|checkpoint| checkpoint.seq).unwrap_or_default();
    // The tail is asked for first, so that a store that reads it on a thread of its own does so while the
    // checkpoint is taken apart here.
    let (tail, (mut state, upkeep)) =
        join(store.read(id, After::Seq(covered), PAGE), async { restore(checkpoint.as_ref()) }).await;
    // A checkpoint that is of no use here leaves all entries to be read.
    if state.seq != covered || fold(&mut state, &tail?) {
        fold_tail(store, id, &mut state).await?;
    }
    Ok((state, upkeep))
}

async fn fold_tail(store: &dyn Store, id: &AgentId, state: &mut State) -> Result<(), StoreError> {
    while fold(state, &store.read(id, After::Seq(state.seq), PAGE).await?) {}
    Ok(())
}

/// Folds a page, and tells whether there may be more entries.
fn fold(state: &mut State, page: &[Entry]) -> bool {
    page.iter().for_each(|entry| state.evolve(entry));
    page.len() == PAGE
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
