//! What is there already: `prep` makes it, W5 resumes it, W6 tells it to many, W7 reads it, `verify` counts it.

use std::time::Instant;

use anyhow::Context as _;
use kode_core::event::Event;
use kode_core::id::Cursor;
use kode_core::{Agent, Runtime};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::host::{self, User};
use super::params::Params;
use super::usage::{self, Usage};
use crate::median;

/// The model is not asked.
const NOWHERE: &str = "http://127.0.0.1:9/n1/d0/t0/v1";

/// Makes one agent of so many messages and about so many events.
pub(crate) async fn prepare(params: &Params) -> anyhow::Result<Value> {
    let (messages, events) = (params.number("messages", 10_000)?, params.number("events", 260_000)?);
    // A turn has two messages, and ten events beside its chunks.
    let chunks = (events * 2 / messages).saturating_sub(10).max(1);
    let (runtime, _store) =
        host::runtime(&params.dir()?, &host::base(params.text("llm")?, chunks, 0, false))?;
    let mut user = User::new(&runtime, 0).await?;
    let usage = Usage::now()?;
    let mut seen = 0;
    while user.agent().view().transcript.len() < messages {
        seen += user.turn().await?.events;
    }
    user.agent().put_away(true).await;
    usage.since()?.report(&json!({ "messages": messages, "events": seen }))
}

/// W5: takes the agent up and puts it away again.
pub(crate) async fn resume(params: &Params) -> anyhow::Result<Value> {
    let reps = params.number("reps", 20)?;
    let (runtime, _store) = host::runtime(&params.dir()?, NOWHERE)?;
    let begun = Instant::now();
    // As a server does when it starts.
    runtime.prepare().await;
    let prepare = begun.elapsed().as_secs_f64() * 1e3;
    let usage = Usage::now()?;
    let mut times = Vec::with_capacity(reps);
    for _ in 0..reps {
        let begun = Instant::now();
        let agent = runtime.resume(&host::id(0)?).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        agent.put_away(true).await;
    }
    let cold = times.first().copied().unwrap_or(f64::NAN);
    usage.since()?.report(&json!({ "prepare_ms": prepare, "cold_ms": cold, "p50_ms": median(times) }))
}

/// W6: one agent's turn, told to many subscribers.
pub(crate) async fn fan_out(params: &Params) -> anyhow::Result<Value> {
    let (subs, n) = (params.number("subs", 1_000)?, params.number("n", 1_000)?);
    let (runtime, _store) = host::runtime(&params.dir()?, &host::base(params.text("llm")?, n, 0, false))?;
    let mut user = User::new(&runtime, 0).await?;
    let mut readers = JoinSet::new();
    for _ in 0..subs {
        readers.spawn(until_done(user.agent().clone()));
    }
    tokio::task::yield_now().await;
    let usage = Usage::now()?;
    user.turn().await?;
    let mut delivered = 0;
    while let Some(read) = readers.join_next().await {
        delivered += read??;
    }
    let spent = usage.since()?;
    spent.report(&json!({ "delivered_per_s": delivered as f64 / spent.wall, "delivered": delivered }))
}

/// Reads from now to the next `done`; how many events there were.
async fn until_done(agent: Agent) -> anyhow::Result<usize> {
    let mut events = agent.subscription(agent.view().cursor);
    for seen in 1.. {
        let envelope = events.next().await?.context("the agent is gone")?;
        if matches!(envelope.event, Event::Done { .. }) {
            return Ok(seen);
        }
    }
    unreachable!("the loop has no end of its own")
}

/// W7: reads all events after a cursor, by default all that there are.
pub(crate) async fn read(params: &Params) -> anyhow::Result<Value> {
    let since = Cursor(params.number("since", 0)? as u64);
    let last = params.number("last", 0)?;
    let (runtime, _store) = host::runtime(&params.dir()?, NOWHERE)?;
    let head = runtime.look(&host::id(0)?).await?.context("prepare the directory first")?.cursor;
    let since = if last > 0 { Cursor(head.0.saturating_sub(last as u64)) } else { since };
    let before = usage::rss_kb()?;
    let usage = Usage::now()?;
    let begun = Instant::now();
    let mut events = runtime.subscription(&host::id(0)?, since);
    let (mut count, mut first_ms) = (0, 0.0);
    while events.cursor() < head {
        events.next().await?.context("the agent is gone")?;
        count += 1;
        if count == 1 {
            first_ms = begun.elapsed().as_secs_f64() * 1e3;
        }
    }
    let spent = usage.since()?;
    spent.report(&json!({
        "events": count,
        "events_per_s": f64::from(count) / spent.wall,
        "first_ms": first_ms,
        "rss_growth_kb": usage::rss_kb()?.saturating_sub(before),
    }))
}

/// Counts what a fresh process finds.
pub(crate) async fn verify(params: &Params) -> anyhow::Result<Value> {
    let (runtime, store) = host::runtime(&params.dir()?, NOWHERE)?;
    let (mut agents, mut messages, mut events, mut dones) = (0, 0, 0, 0);
    let mut after = None;
    loop {
        let page = store.list("", after.as_ref(), 1_000).await?;
        let Some(end) = page.last().cloned() else { break };
        for id in &page {
            let view = runtime.look(id).await?.context("it was listed")?;
            agents += 1;
            messages += view.transcript.len();
            let (all, ended) = count(&runtime, id, view.cursor).await?;
            events += all;
            dones += ended;
        }
        after = Some(end);
    }
    Ok(json!({ "agents": agents, "messages": messages, "events": events, "dones": dones }))
}

async fn count(
    runtime: &Runtime,
    id: &kode_core::id::AgentId,
    head: Cursor,
) -> anyhow::Result<(usize, usize)> {
    let mut reader = runtime.subscription(id, Cursor(0));
    let (mut events, mut dones) = (0, 0);
    while reader.cursor() < head {
        let envelope = reader.next().await?.context("it was listed")?;
        events += 1;
        dones += usize::from(matches!(envelope.event, Event::Done { .. }));
    }
    Ok((events, dones))
}
