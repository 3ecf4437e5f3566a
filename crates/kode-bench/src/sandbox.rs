//! What the start of a sandboxed process costs, beside a plain one, in a small server and in one with a GiB in memory:
//! a helper that is spawned and not forked costs the same in both.

use std::hint::black_box;
use std::process::{Command as Plain, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{Command, SandboxFactory, Witness, Workspace};
use kode_core::template::SandboxSpec;
use kode_core::tool::Cancel;
use kode_sandbox::LocalSandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::median;

const ROUNDS: usize = 60;
const RESIDENT: usize = 1 << 30;
/// The levels whose price is told, weakest first.
const LEVELS: [&str; 4] = ["none", "hygiene", "confined", "strict"];

struct Silent;

#[async_trait]
impl Witness for Silent {
    async fn notice(&self, _event_type: &str, _data: Value) {}
}

pub(crate) async fn start(dir: &TempDir) -> anyhow::Result<Value> {
    let sandbox = LocalSandbox::new(dir.path().join("agents"))?;
    let plain = median((0..ROUNDS).map(|_| plain_us()).collect::<anyhow::Result<_>>()?);
    println!("sandbox: a plain shell that ends at once, p50        {plain:>9.0} µs");
    let mut told = json!({ "plain_us": plain });
    for level in LEVELS {
        let spec = SandboxSpec { level: level.into(), ..SandboxSpec::default() };
        let work = sandbox.open(&AgentId::new(format!("bench-{level}"))?, &spec).await?;
        let small = start_us(&*work).await?;
        let reached = work.report().level.clone();
        println!(
            "sandbox: the same at {level} ({reached}), p50 {:>w$.0} µs",
            small,
            w = 29 - level.len() - reached.len()
        );
        told[level] = json!({ "reached": reached, "us": small });
        if level == "strict" {
            let large = with_resident(&*work).await?;
            println!("sandbox: with 1 GiB in the server (to stay under 1.3) {:>9.2}", large / small);
            told["ratio_with_resident"] = json!(large / small);
        }
    }
    Ok(told)
}

async fn with_resident(work: &dyn Workspace) -> anyhow::Result<f64> {
    let held = vec![1_u8; RESIDENT];
    let us = start_us(work).await?;
    black_box(&held);
    Ok(us)
}

async fn start_us(work: &dyn Workspace) -> anyhow::Result<f64> {
    let processes = work.processes()?;
    let command = Command { line: "exit 0".into(), timeout: Duration::from_secs(60) };
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        processes.run(&command, Cancel::default(), Arc::new(Silent)).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

fn plain_us() -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut shell = Plain::new("/bin/bash");
    shell.args(["-c", "exit 0"]).stdin(Stdio::null()).stdout(Stdio::null());
    shell.status().context("a shell is needed to measure its start")?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}
