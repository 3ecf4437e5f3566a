//! Who writes to what in this process: one slot for each leased agent, and the rule which lease is in force.
//!
//! The directory's lock keeps other processes out, so leases live in memory and end with the process. A slot
//! goes when its lease does; what must outlive it is a journal that is not to be trusted.

use std::collections::HashMap;

use kode_core::id::{AgentId, Epoch, Millis, Seq};
use kode_core::store::{Head, Holder, Lease, StoreError, StoreResult};

use crate::ground::{Arc, Mutex, MutexGuard};
use crate::writer::Writer;

/// A lease in force.
pub(crate) struct Held {
    /// The writer's term.
    pub epoch: Epoch,
    /// Who has it.
    pub holder: String,
    /// When another may take it.
    pub expires: Millis,
    /// The journal.
    pub writer: Writer,
}

/// What is known of one agent's writer.
#[derive(Default)]
pub(crate) struct State {
    /// The lease in force.
    pub held: Option<Held>,
    /// After a failed sync: up to where the journal is to be trusted.
    pub suspect: Option<Seq>,
    /// Whether the slot is out of the table: who waited for it looks again.
    retired: bool,
}

/// One agent's place in the table.
#[derive(Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    /// Where the journal ended after the last append that succeeded; `None` without a lease. Readers go no
    /// further, so nobody is told what is not durable yet.
    told: Mutex<Option<Head>>,
}

/// The table.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<AgentId, Arc<Slot>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}

impl State {
    /// The lease, if it is the one in force. With none in force, a fenced lease is told its own epoch.
    pub(crate) fn in_force(&mut self, epoch: Epoch) -> StoreResult<&mut Held> {
        let current = self.held.as_ref().map_or(epoch, |held| held.epoch);
        let held = self.held.as_mut().filter(|held| held.epoch == epoch);
        held.ok_or(StoreError::Fenced { epoch, current })
    }

    /// Refuses a holder while another has the lease.
    pub(crate) fn free_for(&self, holder: &str, now: Millis) -> StoreResult<()> {
        match &self.held {
            Some(held) if held.holder != holder && held.expires > now => {
                Err(StoreError::Held { until: held.expires, holder: held.holder.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Ends the lease, if there is one, and keeps what its writer distrusts.
    pub(crate) fn end(&mut self) -> Option<Held> {
        let held = self.held.take()?;
        self.suspect = held.writer.suspect().or(self.suspect);
        Some(held)
    }

    fn told(&self) -> Option<Head> {
        self.held.as_ref().map(|held| held.writer.told())
    }
}

impl Slots {
    /// Where the journal ends for readers, if it is leased.
    pub(crate) fn told(&self, agent: &AgentId) -> Option<Head> {
        let slot = lock(&self.0).get(agent).cloned()?;
        *lock(&slot.told)
    }

    /// Who has an agent's lease, unless it has ended.
    pub(crate) fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        self.enter(agent, |state| {
            let held = state.held.as_ref().filter(|held| held.expires > now);
            Ok(held.map(|held| Holder {
                holder: held.holder.clone(),
                epoch: held.epoch,
                expires: held.expires,
            }))
        })
    }

    /// Works on an agent's slot, one at a time. Blocks while another does.
    pub(crate) fn enter<T>(
        &self,
        agent: &AgentId,
        work: impl FnOnce(&mut State) -> StoreResult<T>,
    ) -> StoreResult<T> {
        loop {
            let slot = lock(&self.0).entry(agent.clone()).or_default().clone();
            let mut state = lock(&slot.state);
            if !state.retired {
                return self.finish(agent, &slot, &mut state, work);
            }
        }
    }

    /// The same without waiting, under a lease in force of which `when` holds; `None` if that is not possible.
    pub(crate) fn try_enter<T>(
        &self,
        lease: &Lease,
        when: impl FnOnce(&Held) -> bool,
        work: impl FnOnce(&mut Held) -> StoreResult<T>,
    ) -> Option<StoreResult<T>> {
        let slot = lock(&self.0).get(&lease.agent).cloned()?;
        let mut state = slot.state.try_lock().ok()?;
        state.in_force(lease.epoch).ok().filter(|held| when(held))?;
        Some(self.finish(&lease.agent, &slot, &mut state, |state| work(state.in_force(lease.epoch)?)))
    }

    fn finish<T>(
        &self,
        agent: &AgentId,
        slot: &Slot,
        state: &mut State,
        work: impl FnOnce(&mut State) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let result = work(state);
        *lock(&slot.told) = state.told();
        if state.held.is_none() && state.suspect.is_none() {
            state.retired = true;
            lock(&self.0).remove(agent);
        }
        result
    }
}
