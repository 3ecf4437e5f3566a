//! Telling that journals moved: one statement at a time, behind the appends and never within one, for all agents that
//! moved since the last.
//!
//! A transaction that notifies takes a lock of the whole database at its commit, so appends that did would wait for each
//! other. What cannot be told is dropped: it is a hint ([`kode_core::store::wakes`]).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kode_core::id::AgentId;
use kode_core::store::{Node, StoreResult};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::pool::Pool;

/// From one statement to the next.
const EVERY: Duration = Duration::from_millis(5);
/// How long a database that refused is left alone.
const AFTER_ERROR: Duration = Duration::from_millis(500);
/// The server takes payloads of less than 8,000 bytes.
const PAYLOAD_MAX: usize = 7_900;
/// The server cuts longer names of channels. Stores that share one so wake each other, for nothing.
const CHANNEL_MAX: usize = 63;
/// What stands between agents; no id has one.
pub(crate) const BETWEEN: char = '\n';

/// It has nothing that a power loss could take, so its commit waits for no disk.
const NOTIFY: &str = "
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, payload) FROM unnest($2::text[]) AS payload";

/// The channel of the store in a schema.
pub(crate) fn channel(pool: &Pool) -> String {
    let mut channel = format!("kode:moved:{}", pool.place().schema.name());
    channel.truncate(CHANNEL_MAX);
    channel
}

/// Sends payloads.
pub(crate) async fn notify(pool: &Pool, payloads: Vec<String>) -> StoreResult<()> {
    pool.rows(pool.sql(NOTIFY).bind(channel(pool)).bind(payloads)).await.map(drop)
}

/// Tells of this process's appends.
pub(crate) struct Voice {
    pool: Arc<Pool>,
    moved: Arc<Moved>,
    task: OnceLock<JoinHandle<()>>,
    /// The node of this process, if it said that it is one.
    own: Mutex<Option<String>>,
    /// Whether the last look at the nodes found no other one.
    alone: AtomicBool,
}

#[derive(Default)]
struct Moved {
    agents: Mutex<HashSet<AgentId>>,
    some: Notify,
}

impl Voice {
    pub(crate) fn of(pool: &Arc<Pool>) -> Self {
        let (own, alone) = (Mutex::default(), AtomicBool::new(false));
        Self { pool: pool.clone(), moved: Arc::default(), task: OnceLock::new(), own, alone }
    }

    /// Tells soon that an agent's journal moved, unless nobody is there to be told.
    pub(crate) fn tell(&self, agent: &AgentId) {
        if self.alone.load(Ordering::Relaxed) {
            return;
        }
        lock(&self.moved.agents).insert(agent.clone());
        self.moved.some.notify_one();
        self.task.get_or_init(|| tokio::spawn(keep(self.pool.clone(), self.moved.clone())));
    }

    /// This process is a node.
    pub(crate) fn is(&self, node: &str) {
        *lock(&self.own) = Some(node.to_owned());
    }

    /// These are the nodes now. Readers that are none ask for themselves, when nothing is told to them.
    pub(crate) fn among(&self, nodes: &[Node]) {
        let own = lock(&self.own);
        let alone = own.as_ref().is_some_and(|own| nodes.iter().all(|node| node.id == *own));
        self.alone.store(alone, Ordering::Relaxed);
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn keep(pool: Arc<Pool>, moved: Arc<Moved>) {
    loop {
        moved.some.notified().await;
        let agents = std::mem::take(&mut *lock(&moved.agents));
        if let Err(error) = notify(&pool, payloads(&agents)).await {
            tracing::debug!(%error, "other nodes could not be told that agents moved; they ask");
            sleep(AFTER_ERROR).await;
        }
        sleep(EVERY).await;
    }
}

/// The names of agents, in as few payloads as they fit in.
fn payloads(agents: &HashSet<AgentId>) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for agent in agents {
        match payloads.last_mut() {
            Some(last) if last.len() + 1 + agent.as_str().len() <= PAYLOAD_MAX => {
                last.push(BETWEEN);
                last.push_str(agent.as_str());
            }
            Some(_) | None => payloads.push(agent.to_string()),
        }
    }
    payloads
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section only moves values, so whoever panicked left them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_together_as_far_as_a_payload_takes_them() {
        let long = |number: usize| AgentId::new(format!("{number:0>200}")).unwrap();
        let agents: HashSet<_> = (0..100).map(long).collect();
        let payloads = payloads(&agents);
        assert!(payloads.len() == 3 && payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX));
        let told: HashSet<_> = payloads
            .iter()
            .flat_map(|payload| payload.split(BETWEEN))
            .map(|id| AgentId::new(id).unwrap())
            .collect();
        assert_eq!(told, agents);
        assert_eq!(super::payloads(&HashSet::new()), Vec::<String>::new());
    }
}
