//! The ways into the nodes for those outside: a request runs on its node's machine, and is lost with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kode_pool::Pool;
use kode_testkit::sim::chance::Chance;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// The way into a node that is up.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) machine: Handle,
    pub(crate) pool: Pool,
}

/// The ways into all nodes. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Doors(Arc<Mutex<Vec<Option<Door>>>>);

impl Doors {
    /// The ways into so many nodes, none of which is up.
    pub(crate) fn closed(count: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![None; count])))
    }

    /// A node came up, or went.
    pub(crate) fn set(&self, node: usize, door: Option<Door>) {
        if let Some(place) = self.lock().get_mut(node) {
            *place = door;
        }
    }

    /// The pool of a node that is up.
    pub(crate) fn pool(&self, node: usize) -> Option<Pool> {
        self.lock().get(node)?.as_ref().map(|door| door.pool.clone())
    }

    /// Asks any node, and waits so long for its answer. `None` where none comes: then what was asked may have been
    /// done, may still be done, or not. Who hangs up may take its request along.
    pub(crate) async fn ask<T, F>(
        &self,
        chance: &mut Chance,
        patience: Duration,
        ask: impl FnOnce(Pool) -> F,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let door = self.any(chance)?;
        let takes_along = chance.happens(500);
        let mut request = door.machine.spawn(ask(door.pool));
        match timeout(patience, &mut request).await {
            Ok(answer) => answer.ok(),
            Err(_) => {
                if takes_along {
                    request.abort();
                }
                None
            }
        }
    }

    fn any(&self, chance: &mut Chance) -> Option<Door> {
        let doors = self.lock();
        doors.get(chance.index(doors.len())).cloned().flatten()
    }

    /// A poisoned lock holds whole data: every critical section only moves values.
    fn lock(&self) -> MutexGuard<'_, Vec<Option<Door>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
