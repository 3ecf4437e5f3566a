//! The table of slots: what each name's agent is doing in this process. Synchronous; its lock is never held
//! over an await.
//!
//! ```text
//!   vacant ── Hold ──> Opening ── settle ──> Live ── Hold ──> Leaving ── drop ──> vacant
//!                         └────── drop ──> vacant
//! ```
//!
//! Whoever moves a name out of `vacant` or `Live` has its [`Hold`]; all others wait for that to end. A hold
//! that is dropped, also by a panic, vacates the slot.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::Shared;
use kode_core::id::AgentId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::PoolError;
use crate::ground::{Agent, Arc, Mutex, MutexGuard, Opened, PoisonError};
use crate::recency::Recency;

/// An agent handed out: it is not evicted before the last clone of this is dropped. Without it, a pool under
/// pressure would put agents away between their opening and the message they were opened for.
#[derive(Clone)]
pub(crate) struct Grip {
    pub(crate) opened: Opened,
    _pin: Arc<()>,
}

type Landing = Result<Grip, PoolError>;

/// The end of an opening, for all who wait for it. An error of the channel means that the opener panicked.
pub(crate) type Flight = Shared<oneshot::Receiver<Landing>>;
/// The end of a departure; the channel carries nothing, its closing is the message.
pub(crate) type Departure = Shared<oneshot::Receiver<()>>;

/// An agent in memory, with the place that it takes.
pub(crate) struct Resident {
    pub(crate) agent: Agent,
    pub(crate) place: OwnedSemaphorePermit,
    /// Shared with every [`Grip`] on it.
    pin: Arc<()>,
}

impl Resident {
    pub(crate) fn new(agent: Agent, place: OwnedSemaphorePermit) -> Self {
        Self { agent, place, pin: Arc::default() }
    }

    pub(crate) fn grip(&self, created: bool) -> Grip {
        Grip { opened: Opened { agent: self.agent.clone(), created }, _pin: self.pin.clone() }
    }

    /// Whether it may sleep and nobody is about to use it.
    fn may_go(&self) -> bool {
        let in_use = Arc::strong_count(&self.pin) > 1;
        self.agent.is_gone() || (!in_use && self.agent.view().may_sleep())
    }
}

enum Slot {
    Opening(Flight),
    Live(Resident),
    Leaving(Departure),
}

#[derive(Default)]
struct Table {
    slots: HashMap<AgentId, Slot>,
    recency: Recency,
    live: usize,
    draining: bool,
}

impl Table {
    fn put(&mut self, id: &AgentId, slot: Slot) {
        self.take(id);
        if matches!(slot, Slot::Live(_)) {
            self.live += 1;
            self.recency.touch(id);
        }
        self.slots.insert(id.clone(), slot);
    }

    fn take(&mut self, id: &AgentId) -> Option<Slot> {
        let slot = self.slots.remove(id)?;
        if matches!(slot, Slot::Live(_)) {
            self.live -= 1;
            self.recency.forget(id);
        }
        Some(slot)
    }
}

/// The slots of one pool.
#[derive(Clone, Default)]
pub(crate) struct Slots {
    table: Arc<Mutex<Table>>,
}

/// What a name that is to be opened meets.
pub(crate) enum Entry {
    /// The agent is there.
    Live(Grip),
    /// The caller opens it: settle the hold and tell the landing.
    Lead(Hold, oneshot::Sender<Landing>, Flight),
    /// Someone else opens it.
    Join(Flight),
    /// It is on its way out: wait, then look again.
    Wait(Departure),
}

/// What a name that is to leave meets.
pub(crate) enum Seized {
    /// It is the caller's now, with the agent if one was live.
    Held(Hold, Option<Resident>),
    /// Someone opens it.
    Opening(Flight),
    /// Someone else takes it out.
    Leaving(Departure),
}

impl Slots {
    /// Enters a name that is to be opened.
    pub(crate) fn enter(&self, id: &AgentId) -> Result<Entry, PoolError> {
        let mut table = self.lock();
        if table.draining {
            return Err(PoolError::Draining);
        }
        match table.slots.get(id) {
            Some(Slot::Live(resident)) if !resident.agent.is_gone() => {
                let grip = resident.grip(false);
                table.recency.touch(id);
                Ok(Entry::Live(grip))
            }
            Some(Slot::Opening(flight)) => Ok(Entry::Join(flight.clone())),
            Some(Slot::Leaving(departure)) => Ok(Entry::Wait(departure.clone())),
            Some(Slot::Live(_)) | None => {
                let (land, flight) = oneshot::channel();
                let flight = flight.shared();
                table.put(id, Slot::Opening(flight.clone()));
                Ok(Entry::Lead(self.hold(id, None), land, flight))
            }
        }
    }

    /// Takes a name out of use, or says what to wait for.
    pub(crate) fn seize(&self, id: &AgentId) -> Seized {
        let mut table = self.lock();
        match table.slots.get(id) {
            Some(Slot::Opening(flight)) => Seized::Opening(flight.clone()),
            Some(Slot::Leaving(departure)) => Seized::Leaving(departure.clone()),
            Some(Slot::Live(_)) | None => self.leave(&mut table, id),
        }
    }

    /// The same for a name that nobody uses; `None` where someone does.
    pub(crate) fn seize_vacant(&self, id: &AgentId) -> Option<Hold> {
        let mut table = self.lock();
        let vacant = !table.draining && !table.slots.contains_key(id);
        match vacant.then(|| self.leave(&mut table, id)) {
            Some(Seized::Held(hold, _)) => Some(hold),
            Some(Seized::Opening(_) | Seized::Leaving(_)) | None => None,
        }
    }

    /// The same for the agent that is evicted next; `None` where all are at work.
    pub(crate) fn seize_victim(&self) -> Option<(Hold, Resident)> {
        let mut table = self.lock();
        let may_go = |id: &AgentId| matches!(table.slots.get(id), Some(Slot::Live(r)) if r.may_go());
        let id = table.recency.victim(may_go)?.clone();
        match self.leave(&mut table, &id) {
            Seized::Held(hold, Some(resident)) => Some((hold, resident)),
            Seized::Held(_, None) | Seized::Opening(_) | Seized::Leaving(_) => None,
        }
    }

    /// How many uses of agents there were.
    pub(crate) fn uses(&self) -> u64 {
        self.lock().recency.uses()
    }

    /// The same for an agent whose last use was one of the first `uses`. One that is at work counts as used.
    pub(crate) fn seize_idle(&self, uses: u64) -> Option<(Hold, Resident)> {
        let mut table = self.lock();
        loop {
            let id = table.recency.oldest(uses)?.clone();
            if matches!(table.slots.get(&id), Some(Slot::Live(resident)) if !resident.may_go()) {
                table.recency.touch(&id);
                continue;
            }
            return match self.leave(&mut table, &id) {
                Seized::Held(hold, Some(resident)) => Some((hold, resident)),
                Seized::Held(_, None) | Seized::Opening(_) | Seized::Leaving(_) => None,
            };
        }
    }

    fn leave(&self, table: &mut Table, id: &AgentId) -> Seized {
        let (ends, departure) = oneshot::channel();
        let resident = match table.take(id) {
            Some(Slot::Live(resident)) => Some(resident),
            Some(Slot::Opening(_) | Slot::Leaving(_)) | None => None,
        };
        table.put(id, Slot::Leaving(departure.shared()));
        Seized::Held(self.hold(id, Some(ends)), resident)
    }

    fn hold(&self, id: &AgentId, ends: Option<oneshot::Sender<()>>) -> Hold {
        Hold { slots: self.clone(), id: id.clone(), settled: false, _ends: ends }
    }

    /// The live agent of a name, without counting as a use.
    pub(crate) fn peek(&self, id: &AgentId) -> Option<Agent> {
        match self.lock().slots.get(id) {
            Some(Slot::Live(resident)) if !resident.agent.is_gone() => Some(resident.agent.clone()),
            Some(Slot::Live(_) | Slot::Opening(_) | Slot::Leaving(_)) | None => None,
        }
    }

    /// All live agents.
    pub(crate) fn live(&self) -> Vec<Agent> {
        let table = self.lock();
        let agent = |slot: &Slot| match slot {
            Slot::Live(resident) => Some(resident.agent.clone()),
            Slot::Opening(_) | Slot::Leaving(_) => None,
        };
        table.slots.values().filter_map(agent).collect()
    }

    /// How many agents are live.
    pub(crate) fn live_count(&self) -> usize {
        self.lock().live
    }

    /// Lets nobody enter any more. All names in use, in order.
    pub(crate) fn drain(&self) -> Vec<AgentId> {
        let mut table = self.lock();
        table.draining = true;
        let mut names: Vec<AgentId> = table.slots.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether nobody may enter any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// A poisoned lock holds a whole table: every critical section only moves values.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to say what becomes of a name.
#[must_use = "dropping it vacates the slot"]
pub(crate) struct Hold {
    slots: Slots,
    id: AgentId,
    settled: bool,
    /// Dropped after the slot has its new content: wakes those who wait for a departure.
    _ends: Option<oneshot::Sender<()>>,
}

impl Hold {
    /// The name.
    pub(crate) fn id(&self) -> &AgentId {
        &self.id
    }

    /// The agent is live from here on.
    pub(crate) fn settle(mut self, resident: Resident) {
        self.settled = true;
        self.slots.lock().put(&self.id, Slot::Live(resident));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.settled {
            self.slots.lock().take(&self.id);
        }
    }
}
