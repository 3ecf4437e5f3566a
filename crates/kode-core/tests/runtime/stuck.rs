//! Tools that ignore their end: given up at the time-out or the interrupt, counted as long as anything of them is
//! there, and not started again while there is too much of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use async_trait::async_trait;
use kode_core::tool::{ToolCx, ToolError, Typed, TypedTool};
use kode_core::{Agent, CompletionStatus};
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{NoArgs, World, template};

/// Blocks a thread until it is let go, whatever it is told.
struct Stubborn {
    /// A permit for each call that has begun.
    begun: Arc<Semaphore>,
    calls: Arc<AtomicU32>,
    /// One message lets one call go; dropped, all.
    release: Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
    /// Whether it blocks a thread of its own, or that of the executor.
    off_executor: bool,
}

#[async_trait]
impl TypedTool for Stubborn {
    type Args = NoArgs;
    const NAME: &'static str = "stubborn";
    const DESCRIPTION: &'static str = "Does not listen.";

    async fn run(&self, cx: &ToolCx, _: NoArgs) -> Result<Value, ToolError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        let (release, held) = (self.release.clone(), cx.cancel.clone());
        let block = move || {
            let _ = release.lock().unwrap().recv();
            drop(held);
        };
        match self.off_executor {
            true => tokio::task::spawn_blocking(block).await.unwrap(),
            false => block(),
        }
        Ok(json!("at last"))
    }
}

struct Stage {
    world: World,
    begun: Arc<Semaphore>,
    calls: Arc<AtomicU32>,
    release: Option<mpsc::Sender<()>>,
}

fn stage(calls: usize, off_executor: bool) -> Stage {
    let (release, held) = mpsc::channel();
    let (begun, counted) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let tool = Stubborn {
        begun: begun.clone(),
        calls: counted.clone(),
        release: Arc::new(std::sync::Mutex::new(held)),
        off_executor,
    };
    let scripts =
        (0..calls).flat_map(|_| [Script::new().call("stubborn", json!({})), Script::new().text("done")]);
    let template = template().with_tools(["stubborn"]);
    let world = World::built(template, scripts, |builder| builder.tool(Arc::new(Typed(tool))));
    Stage { world, begun, calls: counted, release: Some(release) }
}

impl Stage {
    /// A turn with one call, which is given up at its time-out if it begins.
    async fn turn(&self, agent: &Agent, begins: bool) -> String {
        let complete = agent.complete("go");
        let time = async {
            if begins {
                self.begun.acquire().await.unwrap().forget();
                self.world.clock.advance(120_000);
            }
        };
        let (done, ()) = tokio::join!(complete, time);
        assert!(matches!(done.unwrap().status, CompletionStatus::Done(_)));
        let requests = self.world.model.requests();
        serde_json::to_string(&requests.last().unwrap().messages.last().unwrap().content).unwrap()
    }
}

/// Scenario 17, for a tool that blocks a thread: the turn goes on at the time-out, also where the thread is one of the
/// executor's.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn g10_a_tool_that_blocks_its_thread_is_given_up_and_the_turn_goes_on() {
    for off_executor in [true, false] {
        let mut stage = stage(1, off_executor);
        let agent = stage.world.agent("a").await;
        let told = stage.turn(&agent, true).await;
        assert!(told.contains("stubborn did not end within 120 s and was stopped"), "{told}");
        stage.release = None;
    }
}

/// Four are left behind and no fifth: it is refused before it begins, also after the agent was put away, and another
/// agent is not concerned. Once one has ended, one more may begin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_tool_that_left_too_many_calls_behind_is_not_started_again() {
    let mut stage = stage(7, true);
    let agent = stage.world.agent("a").await;
    for _ in 0..4 {
        stage.turn(&agent, true).await;
    }
    let told = stage.turn(&agent, false).await;
    assert!(told.contains("4 earlier calls of stubborn were given up and have not ended"), "{told}");
    assert_eq!(stage.calls.load(Ordering::SeqCst), 4, "the fifth was not started");
    assert!(agent.put_away(false).await);
    let other = stage.world.agent("b").await;
    assert!(stage.turn(&other, true).await.contains("did not end"));
    assert_eq!(stage.calls.load(Ordering::SeqCst), 5);
    stage.release = None;
    let agent = stage.world.agent("a").await;
    // The threads end in their own time: until one has, the call is refused as before.
    let told = loop {
        let told = agent.complete("go").await.map(|_| stage.world.model.requests()).unwrap();
        let told = serde_json::to_string(&told.last().unwrap().messages.last().unwrap().content).unwrap();
        if !told.contains("earlier calls") {
            break told;
        }
        stage.world.model.push(Script::new().call("stubborn", json!({})));
        stage.world.model.push(Script::new().text("done"));
    };
    assert!(told.contains("at last"), "{told}");
}

/// Ends at once, and goes on using what it was given.
struct Lingering(Arc<std::sync::Mutex<Vec<ToolCx>>>);

#[async_trait]
impl TypedTool for Lingering {
    type Args = NoArgs;
    const NAME: &'static str = "lingering";
    const DESCRIPTION: &'static str = "Has a job in the background.";

    async fn run(&self, cx: &ToolCx, _: NoArgs) -> Result<Value, ToolError> {
        self.0.lock().unwrap().push(cx.clone());
        Ok(json!("in the background"))
    }
}

/// Only calls that were given up count.
#[tokio::test]
async fn a_tool_that_came_to_its_end_may_keep_what_it_was_given() {
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let scripts =
        (0..8).flat_map(|_| [Script::new().call("lingering", json!({})), Script::new().text("done")]);
    let tool = Arc::new(Typed(Lingering(kept.clone())));
    let world = World::built(template().with_tools(["lingering"]), scripts, |builder| builder.tool(tool));
    let agent = world.agent("a").await;
    for _ in 0..8 {
        agent.complete("go").await.unwrap();
    }
    assert_eq!(kept.lock().unwrap().len(), 8);
}
