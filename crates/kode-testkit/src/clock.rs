//! Time and ids that a test owns: nothing moves unless the test says so.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use kode_core::clock::{Clock, Ids};
use kode_core::id::{MessageId, Millis};
use tokio::sync::watch;

/// A clock that stands still until it is advanced.
#[derive(Debug)]
pub struct SimClock {
    now: watch::Sender<Millis>,
}

impl SimClock {
    /// A clock at a time.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self { now: watch::Sender::new(now) }
    }

    /// Moves time on and wakes who waited for it.
    pub fn advance(&self, by: Millis) {
        self.now.send_modify(|now| *now += by);
    }
}

impl Default for SimClock {
    /// Some second of the year 2026.
    fn default() -> Self {
        Self::at(1_780_000_000_000)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Millis {
        *self.now.borrow()
    }

    async fn until(&self, at: Millis) {
        let mut seen = self.now.subscribe();
        // The sender lives as long as the clock that is borrowed here.
        let _ = seen.wait_for(|now| *now >= at).await;
    }
}

/// Ids that count.
#[derive(Debug, Default)]
pub struct CountingIds {
    given: AtomicU64,
}

impl CountingIds {
    fn next(&self) -> u64 {
        self.given.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Ids for CountingIds {
    fn message_id(&self) -> MessageId {
        MessageId::new(format!("msg_{}", self.next()))
    }

    fn agent_suffix(&self) -> String {
        format!("n{}", self.next())
    }
}
