//! Results that are too long for the model: cut, told where the whole is, and read there by tools of the same agent.

use std::sync::Arc;

use async_trait::async_trait;
use kode_core::id::CallId;
use kode_core::store::{BLOB_MAX, BLOBS_MAX, BlobName, Blobs, StoreError};
use kode_core::template::Template;
use kode_core::tool::{ToolCx, ToolError, Typed, TypedTool};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::world::World;

/// Gives as many bytes as it is asked for, or says how many of a call's result are kept.
struct Long;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Args {
    bytes: usize,
    kept_of: Option<String>,
}

#[async_trait]
impl TypedTool for Long {
    type Args = Args;
    const NAME: &'static str = "long";
    const DESCRIPTION: &'static str = "Gives long results.";

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let Some(call) = args.kept_of else { return Ok("é".repeat(args.bytes / 2).into()) };
        let kept = cx.host.read_result(&CallId::new(call)).await;
        let kept = kept.map_err(|error| ToolError::new("io", error.to_string()))?;
        Ok(json!(kept.map(|bytes| bytes.len())))
    }
}

fn long(bytes: usize) -> Script {
    Script::new().call("long", json!({ "bytes": bytes }))
}

fn kept_of(call: &str) -> Script {
    Script::new().call("long", json!({ "bytes": 0, "kept_of": call }))
}

fn world(scripts: impl IntoIterator<Item = Script>) -> World {
    let template = Template::new("plain", "You are a test.").with_tools(["long"]);
    World::built(template, scripts, |builder| builder.tool(Arc::new(Typed(Long))))
}

/// What the model was told of its last call.
fn told(world: &World) -> String {
    let requests = world.model.requests();
    let last = requests.last().unwrap().messages.last().unwrap().clone();
    match &last.content[0] {
        kode_core::message::Block::ToolResult { content, .. } => content.clone(),
        other => panic!("{other:?} is no result"),
    }
}

/// The model reads head and tail and where the rest is; the agent's tools read all of it, another agent's none.
#[tokio::test]
async fn g10_a_long_result_is_cut_for_the_model_and_kept_whole() {
    let end = || Script::new().text("done");
    let world = world([long(200_000), kept_of("call_1_0"), end(), kept_of("call_1_0"), end()]);
    let agent = world.agent("a").await;
    agent.complete("go").await.unwrap();
    assert_eq!(told(&world), "200000");
    let second = world.model.requests().swap_remove(1);
    let cut = serde_json::to_string(&second.messages.last().unwrap().content).unwrap();
    assert!(
        cut.len() < 70_000
            && cut.contains("all of it is kept, to be read in parts as the file @result/call_1_0")
    );
    let record = world.runtime.load(agent.id()).await.unwrap().0.records.get(0).unwrap().clone();
    assert_eq!(record.kept_bytes, Some(200_000));
    world.agent("b").await.complete("go").await.unwrap();
    assert_eq!(told(&world), "null", "another agent has nothing of that name");
}

/// What fits is not kept: a short result costs nothing beside its fact.
#[tokio::test]
async fn g10_a_result_that_fits_is_not_kept() {
    let world = world([long(64 * 1024), Script::new().text("done")]);
    world.faults.fail_all(Op::PutBlob, When::Before, StoreError::Full("nobody asks".into()));
    let agent = world.agent("a").await;
    agent.complete("go").await.unwrap();
    assert!(!told(&world).contains("left out"));
    let name = BlobName::of_result(&CallId::of(1, 0)).unwrap();
    assert_eq!(world.store.read_blob(agent.id(), &name, 0, 1).await, Ok(None));
}

/// A store that takes no blob costs the rest of the result, and neither the result nor the turn.
#[tokio::test]
async fn g2_a_result_survives_a_store_that_keeps_no_blob() {
    for when in [When::Before, When::After] {
        let world = world([long(200_000), Script::new().text("done")]);
        world.faults.fail_all(Op::PutBlob, when, StoreError::Full("no space left".into()));
        let agent = world.agent("a").await;
        assert_eq!(agent.complete("go").await.unwrap().text, "done");
        assert!(told(&world).contains("bytes were left out here; the rest was not kept"));
    }
}

/// The blob is durable before the fact that names it: a failed append leaves a blob too much, never one too few.
#[tokio::test]
async fn g1_a_result_is_kept_before_the_fact_that_names_it() {
    let world = world([long(200_000), Script::new().text("done")]);
    let agent = world.agent("a").await;
    // The message, the call and its start; then the append with the result.
    world.faults.fail_nth(Op::Append, 3, When::Before, StoreError::Full("no space left".into()));
    agent.send("go").await.unwrap();
    let name = BlobName::of_result(&CallId::of(1, 0)).unwrap();
    loop {
        let kept = world.store.read_blob(agent.id(), &name, 0, 1).await.unwrap();
        let state = world.runtime.load(agent.id()).await.unwrap().0;
        let named = state.records.get(0).is_some_and(|record| record.kept_bytes.is_some());
        assert!(kept.is_some() || !named, "the journal names what is not there");
        if kept.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Past the size of a blob its head is kept and said to be the head; past the number nothing more is.
#[tokio::test]
async fn g10_what_is_kept_of_results_is_bounded() {
    let world = world([long(BLOB_MAX + 2), long(100_000), Script::new().text("done")]);
    let agent = world.agent("a").await;
    let lease = world.store_lease(agent.id()).await;
    for number in 1..BLOBS_MAX {
        let name = BlobName::new(format!("other-{number}")).unwrap();
        world.store.put_blob(&lease, &name, &"x".into()).await.unwrap();
    }
    let agent = world.agent("a").await;
    agent.complete("go").await.unwrap();
    let first = serde_json::to_string(&world.model.requests()[1].messages.last().unwrap().content).unwrap();
    assert!(first.contains(&format!("its first {BLOB_MAX} bytes are kept")), "{}", &first[49_000..]);
    assert!(told(&world).contains("the rest was not kept"));
}
