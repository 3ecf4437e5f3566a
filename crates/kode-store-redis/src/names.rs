//! The index: which names there are, and which have unfinished work. It is in a slot of its own, so it cannot change
//! in one step with an agent; it is a superset instead, and whoever reads it looks at the agents as well.
//!
//! - A name is marked before a lease of it is taken, with a mark that never comes twice, and the lease is taken by that
//!   mark. So whatever is leased is in the index, and what has entries was leased.
//! - What an agent no longer needs is dropped by its mark: if it was marked anew meanwhile, it stays.
//! - A reader that finds a mark with nothing behind it *settles* it at the agent first: from then on no lease is
//!   taken by that mark, and whoever was about to makes a new one. Then it is dropped by its mark.
//! - A mark that a failover lost comes back when its holder renews, or by [`RedisStore::rebuild_index`].

use std::collections::{BTreeMap, BTreeSet};

use kode_core::id::{AgentId, Cursor, Epoch, Millis, Seq};
use kode_core::store::{Abandoned, Head, StoreResult};
use redis::{Cmd, cmd};

use crate::redis_store::RedisStore;
use crate::script::{Args, INDEX_ADD, INDEX_DROP, INDEX_KEEP, SETTLE};

/// Names looked at in one step of a listing.
const PAGE: usize = 500;

/// A name's mark in the index.
pub(crate) struct Mark {
    /// It never comes twice.
    pub ticket: u64,
    /// When it was made, by the server's clock.
    pub at: Millis,
}

impl RedisStore {
    /// Marks a name, above a mark that was settled.
    pub(crate) async fn mark(&self, agent: &AgentId, settled: u64) -> StoreResult<Mark> {
        let args = Args::default().text(agent).text(settled);
        let answer = self.server.call(&INDEX_ADD, &self.keys.index(), args).await?;
        match answer.word() {
            "marked" => Ok(Mark { ticket: answer.number(1)?, at: answer.number(2)? }),
            _ => Err(answer.strange()),
        }
    }

    /// Puts a mark back if it is gone. What fails here is done at the next renewal.
    pub(crate) async fn keep_mark(&self, agent: &AgentId, ticket: u64) {
        let args = Args::default().text(agent).text(ticket);
        if let Err(error) = self.server.call(&INDEX_KEEP, &self.keys.index(), args).await {
            tracing::debug!(%agent, %error, "the mark of an unfinished agent could not be looked after");
        }
    }

    /// Drops what was marked, and the name where it is no agent's. What fails here is dropped by the next reader.
    pub(crate) async fn drop_mark(&self, agent: &AgentId, ticket: u64, name: bool) {
        let args = Args::default().text(agent).text(ticket).text(u8::from(name));
        if let Err(error) = self.server.call(&INDEX_DROP, &self.keys.index(), args).await {
            tracing::debug!(%agent, %error, "a mark without meaning is left for later");
        }
    }

    /// Settles a mark with nothing behind it, and drops it.
    async fn settle(&self, agent: &AgentId, ticket: u64) -> StoreResult<()> {
        let args = Args::default().text(ticket);
        let answer = self.server.call(&SETTLE, &[self.keys.agent(agent)], args).await?;
        if answer.word() == "settled" {
            self.drop_mark(agent, ticket, answer.number(1)? == 0).await;
        }
        Ok(())
    }

    pub(crate) async fn unfinished_agents(&self) -> StoreResult<Vec<AgentId>> {
        let [_, _, _, unfinished] = self.keys.index();
        let marked: BTreeMap<String, u64> = self.server.ask(cmd("HGETALL").arg(unfinished)).await?;
        let marked: BTreeMap<AgentId, u64> =
            marked.into_iter().filter_map(|(id, ticket)| Some((AgentId::new(id).ok()?, ticket))).collect();
        let asked = marked.keys().map(|agent| self.has(agent, "mark")).collect::<Vec<_>>();
        let meant: Vec<bool> = self.server.ask_each(&asked).await?;
        let mut agents = Vec::new();
        for ((agent, ticket), meant) in marked.into_iter().zip(meant) {
            if meant {
                agents.push(agent);
            } else if let Err(error) = self.settle(&agent, ticket).await {
                tracing::debug!(%agent, %error, "a mark without meaning is left for later");
            }
        }
        Ok(agents)
    }

    /// Those that are marked and that nobody holds by the server's clock. Two rounds of questions, whatever the number.
    /// In a cluster the clock is that of one master: who takes an agent then goes by that of the agent's own.
    pub(crate) async fn abandoned_agents(&self) -> StoreResult<Vec<Abandoned>> {
        let [_, _, _, unfinished] = self.keys.index();
        let marked: BTreeMap<String, u64> = self.server.ask(cmd("HGETALL").arg(unfinished)).await?;
        if marked.is_empty() {
            return Ok(Vec::new());
        }
        let marked: BTreeSet<AgentId> =
            marked.into_keys().filter_map(|name| AgentId::new(name).ok()).collect();
        let (secs, micros): (u64, u64) = self.server.ask(&cmd("TIME")).await?;
        let now = secs * 1_000 + micros / 1_000;
        let fields = ["mark", "expires", "seq", "epoch", "cursor"];
        let asked = marked.iter().map(|agent| cmd("HMGET").arg(self.keys.agent(agent)).arg(&fields).take());
        let rows: Vec<[Option<u64>; 5]> = self.server.ask_each(&asked.collect::<Vec<_>>()).await?;
        let left = marked.into_iter().zip(rows).filter_map(|(agent, [mark, expires, seq, epoch, cursor])| {
            mark.filter(|_| expires.is_none_or(|expires| expires <= now))?;
            let epoch = u32::try_from(epoch.unwrap_or_default()).unwrap_or_default();
            let (seq, cursor) = (Seq(seq.unwrap_or_default()), Cursor(cursor.unwrap_or_default()));
            Some(Abandoned { agent, head: Head { seq, epoch: Epoch(epoch), cursor } })
        });
        Ok(left.collect())
    }

    fn has(&self, agent: &AgentId, field: &str) -> Cmd {
        cmd("HEXISTS").arg(self.keys.agent(agent)).arg(field).take()
    }

    pub(crate) async fn page_of_agents(
        &self,
        prefix: &str,
        after: Option<&AgentId>,
        limit: usize,
    ) -> StoreResult<Vec<AgentId>> {
        let mut page = Vec::new();
        for (first, last) in ranges(prefix) {
            let mut first = match after {
                Some(after) if format!("[{after}") >= first => format!("({after}"),
                Some(_) | None => first,
            };
            while page.len() < limit {
                let names = self.names(&first, &last).await?;
                let Some(end) = names.last() else { break };
                first = format!("({end}");
                let asked = names.iter().map(|agent| self.has(agent, "seq")).collect::<Vec<_>>();
                let there: Vec<bool> = self.server.ask_each(&asked).await?;
                let (agents, empty): (Vec<_>, Vec<_>) =
                    names.into_iter().zip(there).partition(|(_, there)| *there);
                page.extend(agents.into_iter().map(|(agent, _)| agent));
                for (agent, _) in empty {
                    self.settle_name(&agent).await;
                }
            }
        }
        page.truncate(limit);
        Ok(page)
    }

    /// A page of the index, in the order of bytes.
    async fn names(&self, first: &str, last: &str) -> StoreResult<Vec<AgentId>> {
        let [_, names, _, _] = self.keys.index();
        let read = cmd("ZRANGEBYLEX").arg(names).arg(first).arg(last).arg("LIMIT").arg(0).arg(PAGE).take();
        let names: Vec<String> = self.server.ask(&read).await?;
        Ok(names.into_iter().filter_map(|name| AgentId::new(name).ok()).collect())
    }

    /// Drops a name that is no agent's, unless someone is about to make it one.
    async fn settle_name(&self, agent: &AgentId) {
        let [_, _, marks, _] = self.keys.index();
        let settled = async {
            let ticket: Option<u64> = self.server.ask(cmd("HGET").arg(marks).arg(agent.as_str())).await?;
            match ticket {
                Some(ticket) => self.settle(agent, ticket).await,
                None => Ok(()),
            }
        };
        if let Err(error) = settled.await {
            tracing::debug!(%agent, %error, "a name without an agent is left for later");
        }
    }

    /// Goes through all keys of the store and puts into the index what is missing in it: what a failover lost, or a
    /// restored snapshot does not have. Tells how many agents it looked at. It may run beside nodes at work.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn rebuild_index(&self) -> StoreResult<usize> {
        let mut agents = Vec::new();
        for key in self.server.scan(&self.keys.agents()).await? {
            agents.extend(self.keys.agent_of(&key));
        }
        for agent in &agents {
            let mark = self.mark(agent, 0).await?;
            self.settle(agent, mark.ticket).await?;
        }
        Ok(agents.len())
    }
}

/// The ranges of names that are under a prefix: it itself, and what goes on with a colon.
fn ranges(prefix: &str) -> Vec<(String, String)> {
    match prefix.strip_suffix(':').unwrap_or(prefix) {
        "" => vec![("-".into(), "+".into())],
        // A semicolon is the byte behind the colon, and in no id.
        prefix => {
            vec![(format!("[{prefix}"), format!("[{prefix}")), (format!("[{prefix}:"), format!("({prefix};"))]
        }
    }
}
