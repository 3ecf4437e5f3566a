//! W4: what a turn costs that has much behind it.

use std::time::Instant;

use serde_json::{Value, json};

use super::host::{self, User};
use super::params::Params;
use super::usage::Usage;

/// Turns at a length of history.
pub(crate) async fn grow(params: &Params) -> anyhow::Result<Value> {
    let (messages, turns) = (params.number("messages", 5_000)?, params.number("turns", 50)?);
    let (runtime, _store) = host::runtime(&params.dir()?, &host::base(params.text("llm")?, 50, 0, false))?;
    let mut user = User::new(&runtime, 0).await?;
    while user.agent().view().transcript.len() < messages {
        user.turn().await?;
    }
    let usage = Usage::now()?;
    let begun = Instant::now();
    for _ in 0..turns {
        user.turn().await?;
    }
    let mean = begun.elapsed().as_secs_f64() * 1e3 / turns as f64;
    let spent = usage.since()?;
    spent.report(&json!({
        "mean_ms": mean,
        "cpu_ms_per_turn": spent.cpu_ms_per(turns),
        "write_bytes_per_turn": spent.written as f64 / turns as f64,
    }))
}
