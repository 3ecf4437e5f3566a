//! Many users' turns: W1 makes agents, W2 has them answer, W3 lets each answer use a tool.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use kode_core::Runtime;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::host::{self, Turn, User};
use super::params::Params;
use super::server::Server;
use super::usage::{self, Usage};
use crate::{median, quantile};

/// Seconds after which agents count as idle.
const REST: usize = 3;

/// W1: makes agents, and tells what each weighs, idle or after some turns.
pub(crate) async fn create(params: &Params) -> anyhow::Result<Value> {
    let agents = params.number("agents", 10_000)?;
    let (conc, turns) = (params.number("conc", 64)?, params.number("turns", 0)?);
    let llm = if turns == 0 { "http://127.0.0.1:9".to_owned() } else { params.text("llm")?.to_owned() };
    let (runtime, _store) = host::runtime(&params.dir()?, &host::base(&llm, 50, 0, false))?;
    // What every host weighs is not the agents'.
    let mut other = User::new(&runtime, agents).await?;
    let (before, usage) = (usage::rss_kb()?, Usage::now()?);
    let made = stream::iter(0..agents).map(|number| one(&runtime, number, turns)).buffer_unordered(conc);
    let agents_made: Vec<_> = made.try_collect().await?;
    let spent = usage.since()?;
    come_to_rest(&mut other, turns).await?;
    let weight = usage::rss_kb()?.saturating_sub(before);
    let report = spent.report(&json!({
        "agents_per_s": agents as f64 / spent.wall,
        "cpu_us_per_agent": spent.cpu_ms_per(agents) * 1e3,
        "rss_kb_per_agent": weight as f64 / agents as f64,
    }));
    drop(agents_made);
    report
}

/// Waits until the agents are idle, and what their work had for moments is given back: the allocator keeps it for a second,
/// and looks at its clock when somebody else works.
async fn come_to_rest(other: &mut User, turns: usize) -> anyhow::Result<()> {
    for _ in 0..REST {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if turns > 0 {
            other.turn().await?;
        }
    }
    Ok(())
}

async fn one(runtime: &Runtime, number: usize, turns: usize) -> anyhow::Result<kode_core::Agent> {
    let mut user = User::new(runtime, number).await?;
    for _ in 0..turns {
        user.turn().await?;
    }
    Ok(user.agent().clone())
}

/// W2 and W3: `c` users of `k` turns each, all at once. `calls`: each turn uses a tool. On files, or on the server that
/// `store` names.
pub(crate) async fn answer(params: &Params, calls: bool) -> anyhow::Result<Value> {
    let server = match params.maybe("store") {
        None => None,
        Some(kind) => match Server::start(kind)? {
            None => return Ok(Server::missing(kind)),
            there => there,
        },
    };
    let (c, k) = (params.number("c", 100)?, params.number("k", 20)?);
    let (n, d, warm) = (params.number("n", 50)?, params.number("d", 0)?, params.number("warm", 2)?);
    let dir = params.dir()?;
    let llm = host::base(params.text("llm")?, n, d, calls);
    let runtime = match &server {
        None => host::runtime(&dir, &llm)?.0,
        Some(server) => host::on(server.open().await?, &dir, &llm)?,
    };
    let mut users = Vec::with_capacity(c);
    for number in 0..c {
        if calls {
            let work = dir.join("work").join(host::id(number)?.as_str());
            std::fs::create_dir_all(&work)?;
            std::fs::write(work.join("a.txt"), "what the file says\n")?;
        }
        users.push(User::new(&runtime, number).await?);
    }
    let (users, _) = all(users, warm).await?;
    let usage = Usage::now()?;
    let (users, turns) = all(users, k).await?;
    let spent = usage.since()?;
    drop(users);
    let count = turns.len();
    let sum = |what: fn(&Turn) -> usize| turns.iter().map(what).sum::<usize>() as f64;
    let times = |what: fn(&Turn) -> f64| turns.iter().map(what).collect::<Vec<_>>();
    let (events, chars) = (sum(|turn| turn.events), sum(|turn| turn.chars));
    spent.report(&json!({
        "turns_per_s": count as f64 / spent.wall,
        "events_per_s": events / spent.wall,
        "events_per_turn": events / count as f64,
        "chars_per_turn": chars / count as f64,
        "cpu_ms_per_turn": spent.cpu_ms_per(count),
        "p50_ms": median(times(|turn| turn.ms)),
        "p99_ms": quantile(times(|turn| turn.ms), 0.99),
        "first_p50_ms": median(times(|turn| turn.first_ms)),
        "write_bytes_per_turn": spent.written as f64 / count as f64,
    }))
}

/// Some turns of all users at once.
async fn all(users: Vec<User>, turns: usize) -> anyhow::Result<(Vec<User>, Vec<Turn>)> {
    let gate = Arc::new(tokio::sync::Barrier::new(users.len()));
    let mut tasks = JoinSet::new();
    for mut user in users {
        let gate = gate.clone();
        tasks.spawn(async move {
            let mut seen = Vec::with_capacity(turns);
            gate.wait().await;
            for _ in 0..turns {
                seen.push(user.turn().await?);
            }
            anyhow::Ok((user, seen))
        });
    }
    let (mut users, mut seen) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (user, turns) = done??;
        users.push(user);
        seen.extend(turns);
    }
    Ok((users, seen))
}
