//! The watch that a node keeps among others on one store: it says that it is there, sees who else is, and takes up what
//! nobody holds any more. One small task; the rules are in [`crate::orphans`] and [`crate::placement`], and who wins a
//! race is the store's to say.

use std::collections::HashSet;

use kode_core::id::{AgentId, Millis};
use kode_core::store::{Head, Node, StoreError, StoreResult};
use tokio::task::JoinSet;

use crate::error::PoolError;
use crate::orphans::Orphans;
use crate::pool::Pool;
use crate::start::{OPENINGS_AT_ONCE, Resumed};

/// Beats within the time of a lease: how soon its end is seen, and how many may fail before a node counts as gone.
const BEATS: Millis = 3;
/// The shortest and the longest time between two.
const SHORTEST: Millis = 50;
const LONGEST: Millis = 5_000;

impl Pool {
    /// Makes this process one of the nodes on a store, under the name that its runtime holds agents as, and keeps it
    /// one until the pool drains: says again and again where its peers reach it (nowhere, if empty) and what it has
    /// written among their common files, and takes up unfinished agents whose
    /// holder is gone. Agents are tried in an order that all nodes agree on, so that they rarely race, and a race lost
    /// changes nothing. It takes the place of [`Pool::resume_unfinished`], which it does as well, bit by bit.
    ///
    /// Costs a few requests to the store three times within a lease, whatever the number of agents at rest. A store
    /// that cannot be reached is asked again.
    pub async fn keep_watch(&self, url: String, mark: String) {
        let node = Node { id: self.runtime().holder().to_owned(), url, mark };
        self.inner.watched.store(true, std::sync::atomic::Ordering::Release);
        let (taking, taken) = (JoinSet::new(), HashSet::new());
        let watch = Watch { pool: self, node, nodes: Vec::new(), orphans: Orphans::default(), taking, taken };
        watch.keep().await;
    }
}

/// How long from one look at the store to the next, and from one node's turn to the next node's.
fn beat(lease: Millis) -> Millis {
    (lease / BEATS).clamp(SHORTEST, LONGEST)
}

/// What came of one that was tried.
type Taken = (AgentId, Head, Result<Resumed, PoolError>);

struct Watch<'p> {
    pool: &'p Pool,
    node: Node,
    nodes: Vec<Node>,
    orphans: Orphans,
    taking: JoinSet<Taken>,
    /// Those that are being tried.
    taken: HashSet<AgentId>,
}

impl Watch<'_> {
    async fn keep(mut self) {
        let clock = self.pool.runtime().clock().clone();
        let beat = beat(self.pool.runtime().lease_ttl());
        let (mut look_at, mut silent) = (clock.steady(), false);
        while !self.pool.is_draining() {
            if look_at <= clock.steady() {
                match self.look().await {
                    Ok(()) => silent = false,
                    Err(error) if silent => {
                        tracing::debug!(%error, "the store still tells nothing of other nodes")
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the store tells nothing of other nodes; it is asked again");
                        silent = true;
                    }
                }
                look_at = clock.steady().saturating_add(beat);
            }
            let next = self.take_due(beat).unwrap_or(look_at).min(look_at);
            tokio::select! {
                biased;
                Some(done) = self.taking.join_next() => match done {
                    Ok(done) => self.done(done),
                    // Its name stays among those that are tried, and is left.
                    Err(error) => tracing::error!(%error, "taking up an agent panicked"),
                },
                () = clock.until_steady(next) => {}
            }
        }
    }

    /// Says that this node is there, and looks who else is and what nobody holds.
    async fn look(&mut self) -> StoreResult<()> {
        let runtime = self.pool.runtime();
        let (store, now) = (runtime.store(), runtime.clock().steady());
        store.announce(&self.node, runtime.lease_ttl(), now).await?;
        self.nodes = store.nodes(now).await?;
        let abandoned = store.abandoned(now).await?;
        self.orphans.see(abandoned, runtime.clock().steady());
        Ok(())
    }

    /// Tries those whose turn it is, a few at once. When the next turn comes.
    fn take_due(&mut self, grace: Millis) -> Option<Millis> {
        let due = self.orphans.due(&self.node.id, &self.nodes, grace, self.pool.runtime().clock().steady());
        for (id, head) in due.now {
            if self.taking.len() >= OPENINGS_AT_ONCE {
                break;
            }
            if self.taken.insert(id.clone()) {
                let pool = self.pool.clone();
                self.taking.spawn(async move {
                    let resumed = pool.resume_one(&id).await;
                    (id, head, resumed)
                });
            }
        }
        due.next
    }

    fn done(&mut self, (id, head, resumed): Taken) {
        self.taken.remove(&id);
        let now = self.pool.runtime().clock().steady();
        match resumed {
            Ok(Resumed::GoesOn) => {
                tracing::info!(agent = %id, "an agent that nobody had goes on here");
                self.orphans.put_off(&id, head, now);
            }
            Ok(Resumed::Asleep) => self.orphans.leave(&id, head),
            Ok(Resumed::InUse) => self.orphans.put_off(&id, head, now),
            Err(error) if lost(&error) => {
                tracing::debug!(agent = %id, %error, "another node was first");
                self.orphans.put_off(&id, head, now);
            }
            Err(PoolError::Store(error)) if error.may_pass() => {
                tracing::warn!(agent = %id, %error, "an agent that nobody has could not be taken up; it is tried again");
                self.orphans.put_off(&id, head, now);
            }
            Err(error) => {
                tracing::warn!(agent = %id, %error, "unfinished work was left as it is");
                self.orphans.leave(&id, head);
            }
        }
    }
}

/// Whether another node has the agent, or had it in between.
fn lost(error: &PoolError) -> bool {
    matches!(
        error,
        PoolError::Store(StoreError::Held { .. } | StoreError::Fenced { .. } | StoreError::Conflict { .. })
    )
}
