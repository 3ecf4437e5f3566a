//! Agents with background jobs: they keep their places, a stop ends them, and a start tells that they are lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kode_core::fact::JobEnd;
use kode_core::model::ToolSpec;
use kode_core::store::Leases;
use kode_core::tool::{Tool, ToolCx, ToolError};
use kode_pool::{PoolError, Shutdown};
use kode_testkit::processes::{Fate, Run, ScriptedProcesses};
use kode_testkit::scripted_model::{Gate, Script};
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};

use crate::world::{World, id, made, plain};

/// A tool that starts a background job.
pub(crate) struct Serve;

#[async_trait]
impl Tool for Serve {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: "serve".into(), description: "Serves.".into(), input_schema: json!({}) }
    }

    fn check(&self, _: &Value) -> Result<(), ToolError> {
        Ok(())
    }

    async fn call(&self, cx: &ToolCx, _: Value) -> Result<Value, ToolError> {
        let started = cx.host.start_job(&cx.call, "serve".into()).await;
        started.map(|job| json!(job)).map_err(|e| ToolError::new("refused", e.to_string()))
    }
}

/// A world whose first turn starts a job that runs until the gate is open.
fn serving() -> (World, ScriptedProcesses, Gate) {
    let gate = Gate::default();
    let processes = ScriptedProcesses::new([Run::exits(0).holds(&gate)]);
    let scripts =
        [Script::new().call("serve", json!({})), Script::new().text("it serves"), Script::new().text("ok")];
    let files = Arc::new(MemorySandbox::new().running(processes.clone()));
    (World { files, ..World::playing(scripts) }, processes, gate)
}

#[tokio::test]
async fn g8_an_agent_with_a_job_keeps_its_place() {
    let (world, processes, gate) = serving();
    let pool = world.pool(1);
    let agent = made(&pool, "a").await;
    agent.complete("serve").await.unwrap();
    gate.arrived().await;
    assert!(agent.view().at_rest);
    let refused = pool.resume_or_create(&id("b"), plain()).await.map(|_| ());
    assert!(matches!(refused, Err(PoolError::Full { .. })), "{refused:?}");
    gate.open();
    processes.until(|all| all[0].fate == Fate::Ended).await;
    while !agent.view().is_idle() {
        tokio::task::yield_now().await;
    }
    made(&pool, "b").await;
    assert!(agent.is_gone(), "and now it was put away");
}

/// A job comes to no rest, so the grace of a stop is not for it; it is ended and told, and nothing is left to do.
#[tokio::test]
async fn g8_a_stop_ends_the_jobs_at_once_and_leaves_nothing_unfinished() {
    let (world, processes, gate) = serving();
    let pool = world.pool(2);
    let agent = made(&pool, "a").await;
    agent.complete("serve").await.unwrap();
    gate.arrived().await;
    let stopped = pool.shutdown(Duration::from_secs(3_600)).await;
    assert_eq!(stopped, Shutdown { at_rest: 1, unfinished: 0 });
    assert_eq!(processes.records()[0].fate, Fate::Dropped);
    assert_eq!(agent.view().jobs[0].end.clone().map(|(end, _)| end), Some(JobEnd::Lost));
    assert_eq!(world.store.unfinished().await.unwrap(), []);
}

/// The next process tells at its start that the jobs of the last one are lost.
#[tokio::test]
async fn g8_a_start_tells_of_jobs_that_died_with_the_last_process() {
    let (world, processes, gate) = serving();
    let dead = world.pool(2);
    made(&dead, "a").await.complete("serve").await.unwrap();
    gate.arrived().await;
    let next = world.pool(2);
    assert_eq!(next.resume_unfinished().await.unwrap(), 1);
    let view = next.look(&id("a")).await.unwrap().unwrap();
    assert_eq!(view.jobs[0].end.clone().map(|(end, _)| end), Some(JobEnd::Lost));
    assert_eq!(processes.records().len(), 1, "and starts none");
    drop(dead);
}
