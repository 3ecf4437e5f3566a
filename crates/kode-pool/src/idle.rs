//! Agents that nobody asked for in a while are put away, with no look at all the others: the table keeps the order of
//! uses, so the idle ones are those at its beginning.
//!
//! Time is kept apart from that order. Now and then the number of uses so far is noted; whoever was last used before
//! a note that is as old as the idle time has been idle for that long. What is at work meanwhile counts as used.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kode_core::clock::Clock;
use kode_core::id::Millis;

use crate::pool::Inner;

/// Notes taken within one idle time: an agent is put away at most this part of it late.
const NOTES: u32 = 16;
/// The shortest time between two notes.
const SHORTEST: Duration = Duration::from_millis(50);

/// When idle agents are put away.
#[derive(Debug)]
pub(crate) struct Idle {
    after: Option<Duration>,
    watched: AtomicBool,
}

impl Idle {
    /// After this long; never without.
    pub(crate) fn after(after: Option<Duration>) -> Self {
        Self { after, watched: AtomicBool::new(false) }
    }
}

impl Inner {
    /// Has idle agents put away from now on. The first agent starts the task that does it, which ends with the pool.
    pub(crate) fn watch_idle(self: &Arc<Self>) {
        let Some(after) = self.idle.after else { return };
        if !self.idle.watched.swap(true, Ordering::AcqRel) {
            tokio::spawn(watch_over(Arc::downgrade(self), self.runtime.clock().clone(), after));
        }
    }

    /// Puts away those that were last used before `uses` uses were counted.
    async fn put_idle_away(self: &Arc<Self>, uses: u64) {
        while let Some((hold, resident)) = self.slots.seize_idle(uses) {
            if resident.agent.put_away(false).await {
                self.fell_asleep(&resident.agent);
                tracing::debug!(agent = %hold.id(), "put away after an idle time");
                self.evicted.fetch_add(1, Ordering::Relaxed);
            } else {
                hold.settle(resident);
            }
        }
    }
}

async fn watch_over(pool: Weak<Inner>, clock: Arc<dyn Clock>, after: Duration) {
    let step = (after / NOTES).max(SHORTEST);
    let mut notes: VecDeque<(Millis, u64)> = VecDeque::new();
    loop {
        clock.until(clock.now() + millis(step)).await;
        let Some(inner) = pool.upgrade().filter(|inner| !inner.slots.is_draining()) else { return };
        let now = clock.now();
        let mut idle = None;
        while let Some((_, uses)) = notes.pop_front_if(|(at, _)| *at + millis(after) <= now) {
            idle = Some(uses);
        }
        notes.push_back((now, inner.slots.uses()));
        if let Some(uses) = idle {
            inner.put_idle_away(uses).await;
        }
    }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX / 4)
}
