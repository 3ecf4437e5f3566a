//! Taking agents up before anybody asks for them, by their names or by a prefix.

use futures_util::{StreamExt, stream};
use kode_core::id::AgentId;
use kode_core::store::StoreError;

use crate::error::PoolError;
use crate::pool::Pool;
use crate::start::OPENINGS_AT_ONCE;

/// Names of one page.
const PAGE: usize = 500;

impl Pool {
    /// Takes these agents up, a few at a time, so that the first request to each finds it in memory. What came of each
    /// is told in the order of their names here; one that is in memory already counts as taken up. They may be put away
    /// again like all others: where they are more than there are places, the last ones stay.
    pub async fn prefetch(
        &self,
        ids: impl IntoIterator<Item = AgentId>,
    ) -> Vec<(AgentId, Result<(), PoolError>)> {
        let take_up = |id: AgentId| async move {
            let taken = self.get(&id).await.map(drop);
            (id, taken)
        };
        stream::iter(ids).map(take_up).buffered(OPENINGS_AT_ONCE).collect().await
    }

    /// Takes up all agents under a prefix, by whole `:` segments, as far as there are free places for them: none is put
    /// away for another. How many were taken up or live already. One that cannot be is left as it is, and the log says
    /// why.
    ///
    /// # Errors
    /// The store's, where its list cannot be read.
    pub async fn resume_all(&self, prefix: &str) -> Result<usize, StoreError> {
        let (mut taken, mut after) = (0, None);
        loop {
            let names = self.runtime().store().list(prefix, after.as_ref(), PAGE).await?;
            let Some(last) = names.last().cloned() else { return Ok(taken) };
            let stats = self.stats();
            let free = stats.max.saturating_sub(stats.resident);
            let (live, asleep): (Vec<_>, Vec<_>) = names.into_iter().partition(|id| self.is_resident(id));
            let more = asleep.len() > free;
            taken += live.len();
            for (id, opened) in self.prefetch(asleep.into_iter().take(free)).await {
                match opened {
                    Ok(()) => taken += 1,
                    Err(error) => tracing::warn!(agent = %id, %error, "an agent was not taken up"),
                }
            }
            if more {
                return Ok(taken);
            }
            after = Some(last);
        }
    }
}
