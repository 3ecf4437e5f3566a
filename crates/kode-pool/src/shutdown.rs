//! The end: agents are put away, those at work when they come to rest or when the grace is over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use kode_core::Agent;
use kode_core::id::{AgentId, Millis};

use crate::pool::Pool;

/// How long a driver may take to let go once it is told to: an append under way and its tools' processes are waited
/// for.
const LETTING_GO: Millis = 10_000;

/// What became of the agents in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// Put away at rest.
    pub at_rest: usize,
    /// Put away in mid-run, or waiting for a person: they go on at the next start.
    pub unfinished: usize,
}

impl Pool {
    /// Takes nobody in any more, puts idle agents away, waits for runs until the grace is over, then puts
    /// the rest away as they are: nothing is lost, and the work goes on at the next start.
    pub async fn shutdown(&self, grace: Duration) -> Shutdown {
        let grace = Millis::try_from(grace.as_millis()).unwrap_or(Millis::MAX);
        let until = self.runtime().clock().now().saturating_add(grace);
        let names = self.inner.slots.drain();
        self.withdraw().await;
        let all = names.len().max(1);
        let retired = stream::iter(names).map(|id| async move { self.retire(&id, until).await });
        let mut retired = retired.buffer_unordered(all);
        let mut sum = Shutdown::default();
        while let Some(at_rest) = retired.next().await {
            match at_rest {
                Some(true) => sum.at_rest += 1,
                Some(false) => sum.unfinished += 1,
                None => {}
            }
        }
        // Once more, behind whatever the watch was saying when this began.
        self.withdraw().await;
        sum
    }

    /// Takes this node from those on the store, if it is one: no agent is placed here any more, and peers wait for
    /// what is still held here instead of asking for it.
    async fn withdraw(&self) {
        if !self.inner.watched.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.runtime().store().withdraw(self.runtime().holder()).await {
            tracing::warn!(%error, "the store was not told that this node goes; its word ends by itself");
        }
    }

    /// Whether the agent was at rest; `None` where none was live.
    async fn retire(&self, id: &AgentId, until: Millis) -> Option<bool> {
        let (_hold, resident) = self.seize(id).await;
        let agent = resident?.agent;
        let clock = self.runtime().clock();
        tokio::select! {
            biased;
            () = settled(&agent) => {}
            () = clock.until(until) => {}
        }
        if agent.put_away(false).await {
            return Some(agent.view().at_rest);
        }
        tokio::select! {
            biased;
            _ = agent.put_away(true) => Some(agent.view().at_rest),
            () = clock.until(clock.now().saturating_add(LETTING_GO)) => {
                tracing::warn!(agent = %id, "the agent did not let go in time; its lease will run out");
                Some(false)
            }
        }
    }
}

/// Returns once the agent is at rest, or waits for a person, which no grace outlasts. Background jobs come to no rest,
/// and are not waited for.
async fn settled(agent: &Agent) {
    let mut events = agent.subscription(agent.view().cursor);
    loop {
        let view = agent.view();
        if view.is_settled() {
            return;
        }
        // A reader that fails says nothing about the run; the grace bounds the wait.
        if !matches!(events.next().await, Ok(Some(_))) {
            return;
        }
    }
}
