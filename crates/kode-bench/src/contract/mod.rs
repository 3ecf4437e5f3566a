//! The contract of a measured executable: `<run> <workload> key=value …` prints one JSON object as its last line.
//!
//! docs/performance.md has the workloads. Each measures its region only, after a warm-up.

mod client;
mod elsewhere;
mod history;
mod host;
mod params;
mod replay;
mod serve;
mod server;
mod turns;
mod usage;

pub(crate) use params::Params;
use serde_json::{Value, json};
pub(crate) use usage::Usage;

use crate::limits;

/// Runs one workload, or measures one of the machine's own limits.
pub(crate) async fn run(workload: &str, words: impl Iterator<Item = String>) -> anyhow::Result<Value> {
    let params = Params::of(words)?;
    if let Some(limit) = limits::run(workload, &params).await? {
        return Ok(limit);
    }
    match workload {
        "w1" => turns::create(&params).await,
        "w2" => turns::answer(&params, false).await,
        "w3" => turns::answer(&params, true).await,
        "w4" => history::grow(&params).await,
        "prep" => replay::prepare(&params).await,
        "w5" => replay::resume(&params).await,
        "w6" => replay::fan_out(&params).await,
        "w7" => replay::read(&params).await,
        "w8serve" => serve::serve(&params).await,
        "w8" => serve::answer(&params).await,
        "w9" => elsewhere::read(&params).await,
        "verify" => replay::verify(&params).await,
        _ => Ok(json!({ "unsupported": true })),
    }
}
