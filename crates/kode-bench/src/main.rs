//! Benchmarks as ratios: each workload beside the machine's own limit, measured in the same run.
//!
//! Without arguments it measures what has a limit of the machine beside it; `table [--peer PATH] [FILTER…]` runs the
//! workloads of the contract in docs/performance.md; with a workload's name it is the executable of that contract, and
//! measures that one; `standin` is the model that all talk to. Nothing here asserts a time, and nothing here is needed
//! by anything else.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod contract;
mod limits;
mod machine;
mod model;
mod resume;
mod sandbox;
mod standin;
mod table;
mod turn;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What the `kode` command has.
#[cfg(not(feature = "system-allocator"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    kode_sandbox::helper::enter();
    raise_open_files();
    let mut words = std::env::args().skip(1);
    let work = async {
        match words.next().as_deref() {
            None => measure().await,
            Some("standin") => stand_in().await,
            Some("table") => table(words),
            Some(workload) => {
                println!("{}", contract::run(workload, words).await?);
                Ok(())
            }
        }
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Each agent in memory has an open file, and the usual limit is one of a thousand.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the workload says what it lacks.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Serves the model's stand-in on a free port, and says where.
async fn stand_in() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!({ "ready": true, "llm": format!("http://{}", listener.local_addr()?) }));
    standin::serve(listener).await
}

/// The workloads as a table, and as JSON in the last line.
fn table(mut words: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let (mut peer, mut filters) = (None, Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--peer" => peer = Some(PathBuf::from(words.next().context("--peer needs a path")?)),
            _ => filters.push(word),
        }
    }
    println!("{}", table::measure(peer.as_deref(), &filters)?);
    Ok(())
}

async fn measure() -> anyhow::Result<()> {
    let dir = TempDir::new()?;
    let sync = machine::sync_us(&dir)?;
    println!("machine: one append of 4 KiB and fdatasync, p50      {sync:>9.0} µs");
    let turn = turn::flat(&dir, sync).await?;
    let resume = resume::resume(&dir).await?;
    let start = sandbox::start(&dir).await?;
    let report = json!({ "machine": { "sync_us": sync }, "turn": turn, "resume": resume, "sandbox": start });
    println!("{}", Value::to_string(&report));
    Ok(())
}

/// The middle of measured times.
fn median(times: Vec<f64>) -> f64 {
    quantile(times, 0.5)
}

/// What so great a part of measured times does not pass.
fn quantile(mut times: Vec<f64>, part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = (times.len() as f64 * part) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
