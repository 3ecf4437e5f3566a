//! Agents that sleep over a deadline: an approval that expires must be settled although nobody asks for its
//! agent, and what a dead node left unfinished goes on when its lease has ended. Each is taken up when its time has
//! come; what follows is the machine's to say.
//!
//! The table is memory only. After a start it is filled anew from the store's index of unfinished agents,
//! which has every agent that was put away while it waited.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kode_core::clock::Clock;
use kode_core::id::{AgentId, Millis};
use tokio::sync::watch;

use crate::pool::{Inner, Pool};

#[derive(Debug, Default)]
struct Table {
    order: BTreeSet<(Millis, AgentId)>,
    at: HashMap<AgentId, Millis>,
}

impl Table {
    fn forget(&mut self, id: &AgentId) -> bool {
        let at = self.at.remove(id);
        at.is_some_and(|at| self.order.remove(&(at, id.clone())))
    }
}

/// Who is to be taken up, and when.
#[derive(Debug)]
pub(crate) struct Due {
    table: watch::Sender<Table>,
    watched: AtomicBool,
}

impl Default for Due {
    fn default() -> Self {
        Self { table: watch::Sender::new(Table::default()), watched: AtomicBool::new(false) }
    }
}

impl Due {
    /// The agent needs nobody any more before the time that is noted next.
    pub(crate) fn forget(&self, id: &AgentId) {
        self.table.send_if_modified(|table| table.forget(id));
    }

    fn note(&self, id: &AgentId, at: Millis) {
        self.table.send_modify(|table| {
            table.forget(id);
            table.order.insert((at, id.clone()));
            table.at.insert(id.clone(), at);
        });
    }
}

impl Inner {
    /// Has a sleeping agent taken up at a time. The first one starts the task that does it, which ends with the
    /// pool.
    pub(crate) fn wake_at(self: &Arc<Self>, id: &AgentId, at: Millis) {
        self.due.note(id, at);
        if !self.due.watched.swap(true, Ordering::AcqRel) {
            let (table, clock) = (self.due.table.subscribe(), self.runtime.clock().clone());
            let pool = Arc::downgrade(self);
            tokio::spawn(async move {
                let pool = move || pool.upgrade().map(|inner| Pool { inner });
                watch_over(table, clock, pool).await;
            });
        }
    }
}

/// Takes agents up in the order of their times, until the pool is gone or lets nobody in.
async fn watch_over(
    mut table: watch::Receiver<Table>,
    clock: Arc<dyn Clock>,
    pool: impl Fn() -> Option<Pool> + Send,
) {
    loop {
        let next = table.borrow_and_update().order.first().cloned();
        let time = async {
            match &next {
                Some((at, _)) => clock.until(*at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = table.changed() => if changed.is_err() { return },
            () = time => {
                let (Some(pool), Some((_, id))) = (pool(), next) else { return };
                if pool.is_draining() {
                    return;
                }
                pool.inner.due.forget(&id);
                if let Err(error) = pool.get_when_there_is_a_place(&id).await {
                    pool.leave(&id, &error);
                }
            }
        }
    }
}
