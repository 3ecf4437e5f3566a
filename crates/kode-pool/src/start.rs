//! The start: agents with unfinished work go on by themselves.

use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};
use kode_core::Agent;
use kode_core::id::{AgentId, Millis};
use kode_core::store::StoreError;

use crate::error::PoolError;
use crate::pool::Pool;

/// Agents taken up at once.
pub(crate) const OPENINGS_AT_ONCE: usize = 8;
/// How long to wait for a free place before the next try.
const WAIT_FOR_PLACE: Millis = 500;

/// What came of a look at an agent that may have unfinished work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// It had some, and is live.
    GoesOn,
    /// There is nothing to do at it now: it is at rest, or waits for a person.
    Asleep,
    /// Someone here has it, or is about to.
    InUse,
}

impl Pool {
    /// Goes on with every agent that has unfinished work, found by the store's index, and says how many
    /// those are. Ends when all of them are live again; where they are more than there are places, each
    /// waits for one. One that only waits for a person takes no place: it is taken up by the decision, or
    /// when its approval expires. One that another node has, which may be dead, is taken up when that lease has
    /// ended. The mark of those that have no work left is cleared. One that cannot be read or taken up is left as it
    /// is, and the log says why.
    ///
    /// # Errors
    /// The store's, where its index cannot be read.
    pub async fn resume_unfinished(&self) -> Result<usize, StoreError> {
        let unfinished = self.runtime().store().unfinished().await?;
        let resumed = stream::iter(unfinished).map(|id| async move {
            self.resume_one(&id).await.inspect_err(|error| self.leave(&id, error)) == Ok(Resumed::GoesOn)
        });
        let resumed = resumed.buffer_unordered(OPENINGS_AT_ONCE);
        Ok(resumed.filter(|went_on| std::future::ready(*went_on)).count().await)
    }

    /// Leaves an agent that could not be taken up: until the lease of another has ended, or for who asks for it next.
    pub(crate) fn leave(&self, id: &AgentId, error: &PoolError) {
        if let PoolError::Store(StoreError::Held { holder, .. }) = error
            && self.inner.watched.load(Ordering::Acquire)
        {
            tracing::debug!(agent = %id, holder, "another node has the agent; the watch sees when it is left");
        } else if let PoolError::Store(StoreError::Held { until, .. }) = error {
            tracing::info!(agent = %id, %until, "another node has the agent; it is taken up when its lease has ended");
            self.inner.wake_at(id, *until);
        } else {
            tracing::warn!(agent = %id, %error, "unfinished work was left as it is");
        }
    }

    /// Goes on with an agent, if it has work left.
    pub(crate) async fn resume_one(&self, id: &AgentId) -> Result<Resumed, PoolError> {
        if let Some(asleep) = self.stays_asleep(id).await? {
            return Ok(asleep);
        }
        self.get_when_there_is_a_place(id).await.map(|_| Resumed::GoesOn)
    }

    /// [`Pool::get`] that waits while all places are taken by agents at work.
    pub(crate) async fn get_when_there_is_a_place(&self, id: &AgentId) -> Result<Agent, PoolError> {
        loop {
            match self.get(id).await {
                Err(PoolError::Full { .. }) => {
                    let clock = self.runtime().clock();
                    clock.until(clock.now() + WAIT_FOR_PLACE).await;
                }
                taken => return taken,
            }
        }
    }

    /// Why there is nothing to do now, if so: someone has the agent already, it is idle and released, or it waits for
    /// a person. One with background jobs is told that they are lost.
    async fn stays_asleep(&self, id: &AgentId) -> Result<Option<Resumed>, StoreError> {
        // Nobody opens it while this is held, so what is read stays true until it is written.
        let Some(_hold) = self.inner.slots.seize_vacant(id) else { return Ok(Some(Resumed::InUse)) };
        let Some(view) = self.runtime().look(id).await?.filter(|view| !view.is_idle()) else {
            self.runtime().release(id).await?;
            return Ok(Some(Resumed::Asleep));
        };
        if let Some(at) = view.wakes_at().filter(|_| view.may_sleep()) {
            self.inner.wake_at(id, at);
        }
        Ok(view.may_sleep().then_some(Resumed::Asleep))
    }
}
