//! Background jobs and tools that run processes, with a driver: what is started, what is dropped, and that nobody is
//! told that something is over before it is gone.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use kode_core::event::{Channels, DoneReason, Envelope, Event};
use kode_core::fact::JobEnd;
use kode_core::id::{Cursor, JobId};
use kode_core::sandbox::{Command, ProcessEnd, ProcessError, Witness};
use kode_core::store::After;
use kode_core::store::memory::MemoryStore;
use kode_core::store::{Journal, Leases, StoreError};
use kode_core::tool::{ToolCx, ToolError, ToolTraits, Typed, TypedTool};
use kode_core::{Agent, CompletionStatus, Interrupted, SendError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::processes::{Fate, LEVEL, Run, ScriptedProcesses};
use kode_testkit::scripted_model::{Gate, Script};
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};

use crate::world::{World, kinds, template, until_rest};

/// A shell as a tool: in the foreground, in the background once the gate is open, or to end a job.
struct Shell(Gate);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Args {
    run: Option<String>,
    start: Option<String>,
    kill: Option<String>,
}

struct Deaf;

#[async_trait]
impl Witness for Deaf {
    async fn notice(&self, _: &str, _: Value) {}
}

#[async_trait]
impl TypedTool for Shell {
    type Args = Args;
    const NAME: &'static str = "shell";
    const DESCRIPTION: &'static str = "Runs things.";
    const TRAITS: ToolTraits = ToolTraits { processes: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let refused = |error: &dyn std::fmt::Display| ToolError::new("refused", error.to_string());
        if let Some(line) = args.start {
            self.0.hold().await;
            return cx.host.start_job(&cx.call, line).await.map(|job| json!(job)).map_err(|e| refused(&e));
        }
        if let Some(job) = args.kill {
            return cx.host.kill_job(&JobId::new(job)).await.map(Value::from).map_err(|e| refused(&e));
        }
        let command = Command { line: args.run.unwrap_or_default(), timeout: cx.time_limit };
        let processes = cx.workspace.processes().map_err(|e| refused(&e))?;
        let ran =
            processes.run(&command, cx.cancel.clone(), Arc::new(Deaf)).await.map_err(|e| refused(&e))?;
        Ok(json!(ran.stdout.text()))
    }
}

struct Stage {
    world: World,
    processes: ScriptedProcesses,
    starts: Gate,
}

impl Stage {
    /// Each call in a turn of its own, the model's words after it.
    fn new(runs: impl IntoIterator<Item = Run>, calls: &[Value]) -> Self {
        let stage = Self::over(MemoryStore::default(), runs, calls);
        stage.starts.open();
        stage
    }

    fn over(store: MemoryStore, runs: impl IntoIterator<Item = Run>, calls: &[Value]) -> Self {
        let script = |call: &Value| [Script::new().call("shell", call.clone()), Script::new().text("done")];
        let scripts: Vec<Script> = calls.iter().flat_map(script).collect();
        let processes = ScriptedProcesses::new(runs);
        let files = MemorySandbox::new().running(processes.clone());
        let template = template().with_tools(["shell"]);
        let starts = Gate::default();
        let tool = Arc::new(Typed(Shell(starts.clone())));
        let world = World::in_sandbox(store, files, template, scripts, |builder| builder.tool(tool));
        Self { world, processes, starts }
    }

    fn fates(&self) -> Vec<Fate> {
        self.processes.records().iter().map(|record| record.fate).collect()
    }

    async fn running(&self, count: usize) {
        self.processes.until(|all| all.len() == count).await;
    }
}

fn job() -> JobId {
    JobId::new("shell_1_0")
}

fn end_of(agent: &Agent) -> Option<JobEnd> {
    agent.view().jobs.last().and_then(|job| job.end.clone()).map(|(end, _)| end)
}

fn result(agent: &Agent) -> String {
    serde_json::to_string(&agent.view().transcript.last().unwrap().content).unwrap()
}

/// All events up to the end of a job.
async fn until_job_ended(agent: &Agent, after: Cursor) -> Vec<Arc<Envelope>> {
    let mut events = agent.subscribe(Channels::ALL, after);
    let mut told = Vec::new();
    while let Some(envelope) = events.next().await {
        let ends =
            matches!(&envelope.event, Event::ToolCustomEvent { event_type, .. } if event_type == "job_ended");
        told.push(envelope);
        if ends {
            break;
        }
    }
    told
}

/// A job runs when its start is durable, outlives its turn and keeps its agent in memory; its end is told.
#[tokio::test]
async fn g8_a_job_outlives_its_turn_and_its_agent_stays_for_it() {
    let gate = Gate::default();
    let run = Run::exits(3).noticed("refused_host", json!({"host": "example.org"})).holds(&gate);
    let stage = Stage::new([run], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    let done = agent.complete("go").await.unwrap();
    gate.arrived().await;
    assert!(agent.view().at_rest && !agent.view().is_idle());
    assert!(!agent.put_away(false).await, "an agent with a job is not put away");
    gate.open();
    let told = until_job_ended(&agent, Cursor::ZERO).await;
    let told: Vec<_> = told.iter().map(|e| e.json().to_string()).filter(|e| e.contains("custom")).collect();
    assert!(told[0].contains(r#""eventType":"job_started""#), "{told:?}");
    assert!(told[1].contains("refused_host") && told[1].contains("example.org"), "{told:?}");
    assert!(told[2].contains(r#""code":3"#), "{told:?}");
    assert_eq!(end_of(&agent), Some(JobEnd::Ended(ProcessEnd::Exited { code: 3 })));
    assert_eq!(done.status, CompletionStatus::Done(DoneReason::Completed));
    assert!(agent.put_away(false).await, "and now it is");
}

/// Nothing is run whose start is not durable.
#[tokio::test]
async fn g3_a_job_whose_start_was_not_written_is_never_run() {
    let stage = Stage::over(MemoryStore::default(), [], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    stage.starts.arrived().await;
    stage.world.faults.fail_nth(Op::Append, 1, When::Before, StoreError::Unavailable("cut".into()));
    stage.starts.open();
    until_rest(&agent, sent.cursor).await;
    let told = agent.view().transcript.iter().map(|m| json!(m.content).to_string()).collect::<String>();
    assert!(told.contains("unknown_outcome"), "{told}");
    assert_eq!(stage.fates(), []);
}

/// A job that was not started says why, as its end.
#[tokio::test]
async fn a_job_that_the_sandbox_refuses_has_failed() {
    let refused = Run::refused(ProcessError::TooMany("no more".into()));
    let stage = Stage::new([refused], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    until_job_ended(&agent, Cursor::ZERO).await;
    assert_eq!(end_of(&agent), Some(JobEnd::Ended(ProcessEnd::Failed { message: "no more".into() })));
}

/// The tool that ends a job returns when the job is gone.
#[tokio::test]
async fn g8_a_kill_returns_when_nothing_of_the_job_is_left() {
    let (gate, left) = (Gate::default(), Gate::default());
    let run = Run::exits(0).holds(&gate).outlives(&left);
    let stage = Stage::new([run], &[json!({"start": "serve"}), json!({"kill": "shell_1_0"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    gate.arrived().await;
    let mut killed = Box::pin(agent.complete("end it"));
    tokio::select! {
        _ = &mut killed => panic!("the tool returned while something of the job was left"),
        () = left.arrived() => {}
    }
    assert_eq!(stage.fates(), [Fate::Dropped]);
    assert_eq!(end_of(&agent), None);
    left.open();
    killed.await.unwrap();
    assert_eq!(end_of(&agent), Some(JobEnd::Killed { by: "model".into() }));
    let told = agent.view().transcript.iter().map(|m| json!(m.content).to_string()).collect::<String>();
    assert!(told.contains(r#""content":"true""#), "{told}");
}

/// Rule 9 of the design: the result of an interrupted call, and `done`, come when its processes are gone.
#[tokio::test]
async fn g8_an_interrupt_is_done_when_nothing_of_the_call_is_left() {
    let (gate, left) = (Gate::default(), Gate::default());
    let stage = Stage::new([Run::exits(0).holds(&gate).outlives(&left)], &[json!({"run": "make"})]);
    let agent = stage.world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    gate.arrived().await;
    assert_eq!(agent.interrupt("me", None).await.unwrap(), Interrupted::Stopping);
    left.arrived().await;
    assert_eq!(stage.fates(), [Fate::Dropped]);
    assert_eq!(until_rest(&agent, sent.cursor).now_or_never(), None, "something of it is left");
    left.open();
    let told = until_rest(&agent, sent.cursor).await;
    assert_eq!(kinds(&told).iter().filter(|kind| *kind == "tool:end").count(), 1);
    assert!(result(&agent).contains("may have taken effect"), "{}", result(&agent));
    let executed = told.iter().find(|e| matches!(e.event, Event::ToolExecuted { .. })).unwrap();
    assert!(executed.json().contains(&format!(r#""sandbox":"{LEVEL}""#)), "{}", executed.json());
}

/// The same for a job of a turn, of an agent without a turn, and for a process that does not go: then the grace ends
/// the wait.
#[tokio::test]
async fn g8_an_interrupt_ends_the_jobs_and_waits_for_them_within_bounds() {
    let (gate, left) = (Gate::default(), Gate::default());
    let run = Run::exits(0).holds(&gate).outlives(&left);
    let stage = Stage::new([run], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    gate.arrived().await;
    assert_eq!(agent.interrupt("me", None).await.unwrap(), Interrupted::Stopping);
    left.arrived().await;
    assert_eq!(end_of(&agent), None);
    stage.world.clock.advance(5_000);
    until_job_ended(&agent, Cursor::ZERO).await;
    assert_eq!(end_of(&agent), Some(JobEnd::Killed { by: "me".into() }));
    assert_eq!(agent.interrupt("me", None).await.unwrap(), Interrupted::Idle);
}

/// An agent is gone when its processes are.
#[tokio::test]
async fn g8_a_delete_waits_for_calls_and_jobs() {
    let (gate, left) = (Gate::default(), Gate::default());
    let runs = [Run::exits(0).holds(&gate).outlives(&left), Run::exits(0).holds(&gate)];
    let stage = Stage::new(runs, &[json!({"start": "serve"}), json!({"run": "make"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    agent.send("and make").await.unwrap();
    stage.running(2).await;
    let mut deleted = Box::pin(agent.delete());
    tokio::select! {
        _ = &mut deleted => panic!("deleted while something of its job was left"),
        () = left.arrived() => {}
    }
    assert!(stage.world.store.head(agent.id()).await.unwrap().is_some());
    left.open();
    deleted.await.unwrap();
    assert_eq!(stage.fates(), [Fate::Dropped, Fate::Dropped]);
    assert_eq!(stage.world.store.head(agent.id()).await.unwrap(), None);
}

/// A forced put-away ends the jobs, waits for them, says that they are lost, and leaves no unfinished work behind.
#[tokio::test]
async fn g8_an_agent_that_is_put_away_by_force_leaves_nothing_running() {
    let (gate, left) = (Gate::default(), Gate::default());
    let stage = Stage::new([Run::exits(0).holds(&gate).outlives(&left)], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    gate.arrived().await;
    let mut put_away = Box::pin(agent.put_away(true));
    tokio::select! {
        _ = &mut put_away => panic!("put away while something of its job was left"),
        () = left.arrived() => {}
    }
    assert_eq!(stage.world.store.unfinished().await.unwrap(), [agent.id().clone()]);
    left.open();
    assert!(put_away.await);
    assert_eq!(end_of(&agent), Some(JobEnd::Lost));
    assert_eq!(stage.world.store.unfinished().await.unwrap(), []);
}

/// The next writer after a crash says what became of the jobs, and starts none again.
#[tokio::test]
async fn g3_a_job_of_a_dead_server_is_lost_and_not_started_again() {
    let gate = Gate::default();
    let stage = Stage::new([Run::exits(0).holds(&gate)], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    gate.arrived().await;
    let next = Stage::over(stage.world.store.clone(), [], &[]);
    let found = next.world.agent("a").await;
    assert_eq!(end_of(&found), Some(JobEnd::Lost));
    assert_eq!(next.fates(), []);
    assert!(found.view().is_idle());
    let told = next.world.store.read(found.id(), After::Seq(kode_core::id::Seq::ZERO), 100).await.unwrap();
    assert!(json!(told).to_string().contains(r#""how":"lost""#));
    assert!(matches!(agent.interrupt("me", None).await, Err(SendError::Gone | SendError::Store(_))));
}

/// A record of the agent's own jobs is all that a tool sees.
#[tokio::test]
async fn g8_a_job_of_another_agent_is_not_there() {
    let gate = Gate::default();
    let stage = Stage::new([Run::exits(0).holds(&gate)], &[json!({"start": "serve"})]);
    let agent = stage.world.agent("a").await;
    agent.complete("go").await.unwrap();
    gate.arrived().await;
    let other = stage.world.agent("b").await;
    stage.world.model.push(Script::new().call("shell", json!({"kill": job()})));
    stage.world.model.push(Script::new().text("there is none"));
    other.complete("end it").await.unwrap();
    let told = other.view().transcript.iter().map(|m| json!(m.content).to_string()).collect::<String>();
    assert!(told.contains(r#""content":"false""#), "{told}");
    assert_eq!(stage.fates(), [Fate::Running]);
}
