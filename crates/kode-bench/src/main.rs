//! Benchmarks as ratios: each workload beside the machine's own limit, measured in the same run.
//!
//! Nothing here asserts a time, and nothing here is needed by anything else.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod machine;
mod model;
mod resume;
mod sandbox;
mod turn;

use serde_json::{Value, json};
use tempfile::TempDir;

fn main() -> anyhow::Result<()> {
    kode_sandbox::helper::enter();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure())
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
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
