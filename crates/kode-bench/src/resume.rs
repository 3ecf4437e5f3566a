//! A start costs what the state weighs: the resume of an agent of 10,000 messages beside the mere reading of the
//! files that it needs, and beside the same history with a quarter of the events.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use kode_core::id::AgentId;
use kode_core::template::Template;
use kode_core::{AgentSpec, Runtime};
use kode_store_fs::FsStore;
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::median;
use crate::model::Instantly;

const MESSAGES: usize = 10_000;
/// Pieces of each answer: with the events around them, 54 and 14 a turn. The answers are alike.
const MANY: usize = 44;
const FEW: usize = 4;
/// Characters of an answer, in sixes.
const SIXES: usize = 44;
const ROUNDS: usize = 20;

pub(crate) async fn resume(dir: &TempDir) -> anyhow::Result<Value> {
    let (many, few) = (dir.path().join("many"), dir.path().join("few"));
    let events = prepare(&many, MANY).await?;
    let fewer = prepare(&few, FEW).await?;
    let (mut read, mut loaded, mut resumed, mut with_few) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        read.push(read_us(&many)?);
        loaded.push(load_us(&many).await?);
        resumed.push(resume_us(&many).await?);
        with_few.push(load_us(&few).await?);
    }
    let [read, loaded, resumed, with_few] = [read, loaded, resumed, with_few].map(median);
    println!("resume:  reading the checkpoint's files, {MESSAGES} messages   {read:>9.0} µs");
    println!("resume:  loading the state, {events:>6} events               {loaded:>9.0} µs");
    println!("resume:  lease, load, `Opened` synced, put away         {resumed:>9.0} µs");
    println!("resume:  loading over the mere reading (single ms)      {:>9.0} µs", loaded - read);
    println!("resume:  loading against {fewer:>6} events (to stay near 1) {:>9.2}", loaded / with_few);
    Ok(json!({
        "read_us": read, "load_us": loaded, "resume_us": resumed, "events": events,
        "few_events": fewer, "load_few_us": with_few, "ratio_to_few": loaded / with_few, "ratio_to_read": loaded / read,
    }))
}

fn runtime(store: FsStore, pieces: usize) -> anyhow::Result<Runtime> {
    let model = Instantly { pieces, sixes: SIXES / pieces };
    let builder = Runtime::builder(Arc::new(store), Arc::new(model), Arc::new(MemorySandbox::new()));
    Ok(builder.template(Template::new("bench", "You are measured.")).default_model("instantly").build()?)
}

fn id() -> AgentId {
    AgentId::new("a").expect("a letter is an id")
}

/// An agent with its history, put away; tells how many events it has told.
async fn prepare(dir: &Path, pieces: usize) -> anyhow::Result<u32> {
    let runtime = runtime(FsStore::open(dir)?, pieces)?;
    let agent = runtime.resume_or_create(&id(), AgentSpec::default()).await?.agent;
    while agent.view().transcript.len() < MESSAGES {
        agent.complete("and then?").await?;
    }
    let told = agent.view().cursor.count();
    agent.put_away(true).await;
    Ok(told)
}

fn read_us(dir: &Path) -> anyhow::Result<f64> {
    let names = ["messages.json", "tools.json", "todos.json", "metadata.json"];
    let paths: Vec<PathBuf> = names.iter().map(|name| dir.join("a").join(name)).collect();
    let begun = Instant::now();
    for path in paths {
        fs::read(path)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}

async fn load_us(dir: &Path) -> anyhow::Result<f64> {
    let runtime = runtime(FsStore::open_read_only(dir)?, MANY)?;
    let begun = Instant::now();
    // What was loaded is let go of after the time was taken.
    let loaded = runtime.load(&id()).await?;
    let took = begun.elapsed();
    drop(loaded);
    Ok(took.as_secs_f64() * 1e6)
}

async fn resume_us(dir: &Path) -> anyhow::Result<f64> {
    let runtime = runtime(FsStore::open(dir)?, MANY)?;
    let begun = Instant::now();
    runtime.resume(&id()).await?.put_away(true).await;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}
