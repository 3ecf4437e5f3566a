//! Benchmarks as ratios: each workload beside the machine's own limit, measured in the same run.
//!
//! Without arguments it measures all and prints a table; with a workload's name it is the executable of the contract in
//! docs/performance.md, and measures that one; `standin` is the model that both talk to. Nothing here asserts a time,
//! and nothing here is needed by anything else.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod contract;
mod machine;
mod model;
mod resume;
mod sandbox;
mod standin;
mod turn;

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

fn main() -> anyhow::Result<()> {
    kode_sandbox::helper::enter();
    let mut words = std::env::args().skip(1);
    let work = async {
        match words.next().as_deref() {
            None => measure().await,
            Some("standin") => stand_in().await,
            Some(workload) => {
                println!("{}", contract::run(workload, words).await?);
                Ok(())
            }
        }
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Serves the model's stand-in on a free port, and says where.
async fn stand_in() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!({ "ready": true, "llm": format!("http://{}", listener.local_addr()?) }));
    standin::serve(listener).await
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
