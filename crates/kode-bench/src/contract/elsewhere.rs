//! W9: users whose agents answer at one node and who read at another one, on a store in a server of this run's own. How
//! far what they see is behind what is told where the agent is, and what it costs the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kode_core::event::Event;
use kode_core::hub::Subscription;
use kode_core::id::{AgentId, Cursor};
use kode_core::store::Store;
use kode_core::store::decorate::Decorator;
use kode_core::store::wakes::Watch;
use kode_core::system::SystemClock;
use kode_testkit::wakes::Elsewhere;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::host::{self, User};
use super::params::Params;
use super::server::Server;
use super::usage::Usage;
use crate::{median, quantile};

/// How long the questions about agents at rest are counted.
const AT_REST: Duration = Duration::from_secs(2);

/// When each event was seen.
type Seen = HashMap<Cursor, Instant>;

/// A store as it was before it gave wakes.
struct Unwoken(Arc<dyn Store>);

#[async_trait]
impl Decorator for Unwoken {
    fn inner(&self) -> &dyn Store {
        &*self.0
    }

    fn watch(&self, _: &AgentId) -> Option<Watch> {
        None
    }
}

/// `c` users of `k` turns each, all at once; `wakes=0` has the reading node ask as if there were none.
pub(crate) async fn read(params: &Params) -> anyhow::Result<Value> {
    let (c, k) = (params.number("c", 20)?, params.number("k", 4)?);
    let (n, d) = (params.number("n", 50)?, params.number("d", 20_000)?);
    let kind = params.text("store")?;
    let Some(server) = Server::start(kind)? else { return Ok(Server::missing(kind)) };
    let owner =
        host::on(server.open().await?, &params.dir()?, &host::base(params.text("llm")?, n, d, false))?;
    let other = server.open().await?;
    let other = if params.number("wakes", 1)? == 0 { Arc::new(Unwoken(other)) } else { other };
    let node = Elsewhere::on(other, Arc::new(SystemClock));
    let (mut users, mut readers) = (Vec::new(), JoinSet::new());
    for number in 0..c {
        let mut user = User::new(&owner, number).await?;
        user.turn().await?;
        let from = user.agent().view().cursor;
        let agent = user.agent().id().clone();
        readers.spawn(seen(node.runtime.subscription(&agent, from), agent, k));
        users.push(user);
    }
    // The readers have begun, and wakes come if they do.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (usage, asked) = (Usage::now()?, node.asked.count());
    let mut turns = JoinSet::new();
    for user in users {
        let from = user.agent().view().cursor;
        turns.spawn(seen(user.agent().subscription(from), user.agent().id().clone(), k));
        turns.spawn(async move {
            let mut user = user;
            for _ in 0..k {
                user.turn().await?;
            }
            Ok((user.agent().id().clone(), Seen::new(), Some(user)))
        });
    }
    let (told, users) = gathered(turns).await?;
    let (read, _) = gathered(readers).await?;
    let (spent, asked) = (usage.since()?, node.asked.count() - asked);
    let at_rest = asked_at_rest(&node, &users, c).await?;
    let behind = told.iter().filter_map(|(event, at)| {
        read.get(event).map(|seen| seen.saturating_duration_since(*at).as_secs_f64() * 1e3)
    });
    let behind: Vec<f64> = behind.collect();
    anyhow::ensure!(behind.len() == told.len(), "{} of {} events were read", behind.len(), told.len());
    spent.report(&json!({
        "lag_p50_ms": median(behind.clone()),
        "lag_p99_ms": quantile(behind.clone(), 0.99),
        "lag_max_ms": behind.iter().copied().fold(0.0, f64::max),
        "events": behind.len(),
        "questions_per_s": asked as f64 / spent.wall,
        "questions_per_s_at_rest": at_rest,
    }))
}

/// What a task of this workload gives: whose events it saw, and who is to live on.
type Found = anyhow::Result<(AgentId, Seen, Option<User>)>;

/// When a reader saw each event, up to the end of so many turns.
async fn seen(mut events: Subscription, agent: AgentId, turns: usize) -> Found {
    let (mut seen, mut left) = (Seen::new(), turns);
    while left > 0 {
        let Some(event) = events.next().await? else { anyhow::bail!("an agent is gone") };
        seen.insert(event.cursor, Instant::now());
        left -= usize::from(matches!(event.event, Event::Done { .. }));
    }
    Ok((agent, seen, None))
}

/// What was seen of all agents, and the users.
async fn gathered(
    mut tasks: JoinSet<Found>,
) -> anyhow::Result<(HashMap<(AgentId, Cursor), Instant>, Vec<User>)> {
    let (mut all, mut users) = (HashMap::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (agent, seen, user) = done??;
        all.extend(seen.into_iter().map(|(cursor, at)| ((agent.clone(), cursor), at)));
        users.extend(user);
    }
    Ok((all, users))
}

/// Questions a second while the agents rest and are read on.
async fn asked_at_rest(node: &Elsewhere, users: &[User], count: usize) -> anyhow::Result<f64> {
    anyhow::ensure!(users.len() == count, "a user is gone");
    let readers: Vec<_> = users
        .iter()
        .map(|user| node.runtime.subscription(user.agent().id(), user.agent().view().cursor))
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = node.asked.count();
    tokio::time::sleep(AT_REST).await;
    drop(readers);
    Ok((node.asked.count() - before) as f64 / AT_REST.as_secs_f64())
}
