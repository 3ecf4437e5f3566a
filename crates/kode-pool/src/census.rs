//! Views over many agents: pages of the catalog and open approvals. Read only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use kode_core::id::AgentId;
use kode_core::machine::{PendingApproval, View};
use kode_core::store::StoreError;

use crate::pool::Pool;

/// Agents that are read from the store at once.
const READS_AT_ONCE: usize = 8;

/// One agent of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentInfo {
    /// Its name.
    pub id: AgentId,
    /// Whether it is live here.
    pub resident: bool,
    /// Its state, or why it cannot be read: one that is damaged does not hide the others.
    pub view: Result<Arc<View>, StoreError>,
}

/// Some agents, in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The agents.
    pub agents: Vec<AgentInfo>,
    /// The `after` of the next page; none at the end.
    pub next: Option<AgentId>,
}

impl Pool {
    /// At most `limit` agents under any of these prefixes (by whole `:` segments) whose name is above `after`.
    /// Without a prefix there are none; the empty one reaches all.
    ///
    /// # Errors
    /// The store's, where the names cannot be listed.
    pub async fn list(
        &self,
        prefixes: &[impl AsRef<str>],
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let (ids, next) = self.names(prefixes, after, limit).await?;
        let infos = stream::iter(ids).map(|id| self.info(id)).buffered(READS_AT_ONCE);
        let agents = infos.filter_map(std::future::ready).collect().await;
        Ok(Page { agents, next })
    }

    /// At most `limit` names, and the `after` of the next page.
    pub(crate) async fn names(
        &self,
        prefixes: &[impl AsRef<str>],
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<(Vec<AgentId>, Option<AgentId>), StoreError> {
        // What one prefix reaches does not lie side by side: `a:b` comes behind `a2`. So they are merged.
        let mut found = BTreeSet::new();
        for prefix in prefixes {
            found.extend(self.runtime().store().list(prefix.as_ref(), after, limit.saturating_add(1)).await?);
        }
        let more = found.len() > limit;
        let ids: Vec<AgentId> = found.into_iter().take(limit).collect();
        let next = ids.last().filter(|_| more).cloned();
        Ok((ids, next))
    }

    /// How many agents there are under any of these prefixes, live or not, counted no further than `most`.
    ///
    /// # Errors
    /// The store's, where the names cannot be listed.
    pub async fn count(&self, prefixes: &[impl AsRef<str>], most: usize) -> Result<usize, StoreError> {
        Ok(self.names(prefixes, None, most).await?.0.len())
    }

    /// How many agents under any of these prefixes have a run under way here. Those that only wait for a person
    /// are none of them.
    #[must_use]
    pub fn running(&self, prefixes: &[impl AsRef<str>]) -> usize {
        let live = self.inner.slots.live();
        live.iter().filter(|agent| under_any(agent.id(), prefixes) && !agent.view().is_settled()).count()
    }

    /// How many calls of agents that are live here wait for a person.
    #[must_use]
    pub fn asking(&self) -> usize {
        self.inner.slots.live().iter().map(|agent| agent.view().approvals.len()).sum()
    }

    /// All calls that wait for a person, of live agents and of those with unfinished work under any of
    /// these prefixes, by the agents' names.
    ///
    /// # Errors
    /// The store's, where unfinished agents cannot be listed.
    pub async fn approvals(
        &self,
        prefixes: &[impl AsRef<str>],
    ) -> Result<Vec<(AgentId, PendingApproval)>, StoreError> {
        let mut live = self.inner.slots.live();
        live.retain(kode_core::Agent::is_held);
        let mut views: BTreeMap<AgentId, Arc<View>> =
            live.iter().map(|agent| (agent.id().clone(), agent.view())).collect();
        let mut asleep = self.runtime().store().unfinished().await?;
        asleep.retain(|id| under_any(id, prefixes) && !views.contains_key(id));
        let infos = stream::iter(asleep).map(|id| self.info(id)).buffered(READS_AT_ONCE);
        let read: Vec<AgentInfo> = infos.filter_map(std::future::ready).collect().await;
        views.extend(read.into_iter().filter_map(|info| Some((info.id, info.view.ok()?))));
        let open = views
            .iter()
            .filter(|(id, _)| under_any(id, prefixes))
            .flat_map(|(id, view)| view.approvals.iter().map(|approval| (id.clone(), approval.clone())));
        Ok(open.collect())
    }

    /// `None` for one that was deleted meanwhile.
    pub(crate) async fn info(&self, id: AgentId) -> Option<AgentInfo> {
        let resident = self.is_resident(&id);
        let view = self.look(&id).await.inspect_err(|error| {
            tracing::warn!(agent = %id, %error, "an agent could not be read");
        });
        Some(AgentInfo { view: view.transpose()?, resident, id })
    }
}

fn under_any(id: &AgentId, prefixes: &[impl AsRef<str>]) -> bool {
    prefixes.iter().any(|prefix| id.is_under(prefix.as_ref()))
}
