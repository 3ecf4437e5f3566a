//! A turn costs what it adds: its time at 100 messages of history beside that at 10,000.

use std::sync::Arc;
use std::time::Instant;

use kode_core::id::AgentId;
use kode_core::template::Template;
use kode_core::{Agent, AgentSpec, Runtime};
use kode_store_fs::FsStore;
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::median;
use crate::model::Instantly;

const SHORT: usize = 100;
const LONG: usize = 10_000;
/// Turns measured at each length, in turns of the two agents, so that noise hits both.
const ROUNDS: usize = 300;

pub(crate) async fn flat(dir: &TempDir, sync_us: f64) -> anyhow::Result<Value> {
    let store = Arc::new(FsStore::open(dir.path().join("store"))?);
    let runtime =
        Runtime::builder(store, Arc::new(Instantly { pieces: 50, sixes: 1 }), Arc::new(MemorySandbox::new()))
            .template(Template::new("bench", "You are measured."))
            .default_model("instantly")
            .build()?;
    let short = with_history(&runtime, "short", SHORT).await?;
    let long = with_history(&runtime, "long", LONG).await?;
    let (mut at_short, mut at_long) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        at_short.push(turn_us(&short).await?);
        at_long.push(turn_us(&long).await?);
    }
    let (at_short, at_long) = (median(at_short), median(at_long));
    let ratio = at_long / at_short;
    println!("turn:    p50 at {SHORT:>6} messages                        {at_short:>9.0} µs");
    println!("turn:    p50 at {LONG:>6} messages                        {at_long:>9.0} µs");
    println!("turn:    ratio of the two (to stay under 1.3)          {ratio:>9.2}");
    println!("turn:    in syncs of the machine (two are unavoidable) {:>9.2}", at_short / sync_us);
    Ok(json!({ "short_us": at_short, "long_us": at_long, "ratio": ratio, "syncs": at_short / sync_us }))
}

async fn with_history(runtime: &Runtime, id: &str, messages: usize) -> anyhow::Result<Agent> {
    let agent = runtime.resume_or_create(&AgentId::new(id)?, AgentSpec::default()).await?.agent;
    while agent.view().transcript.len() < messages {
        agent.complete("and then?").await?;
    }
    Ok(agent)
}

async fn turn_us(agent: &Agent) -> anyhow::Result<f64> {
    let begun = Instant::now();
    agent.complete("and then?").await?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}
