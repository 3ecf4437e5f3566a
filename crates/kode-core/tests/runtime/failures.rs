//! What fails around an agent: its store, its tools, its model. Nothing acknowledged is lost, and it goes on.

use kode_core::AgentSpec;
use std::time::Duration;

use kode_core::clock::Clock as _;
use kode_core::event::{DoneReason, Event};
use kode_core::id::TemplateId;
use kode_core::model::{ErrorClass, ModelError};
use kode_core::store::StoreError;
use kode_core::{CompletionStatus, OpenError, SendError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::{Gate, Script};
use serde_json::json;

use crate::world::{World, until_rest};

fn unavailable() -> StoreError {
    StoreError::Unavailable("the wire is cut".into())
}

#[tokio::test]
async fn g1_a_message_that_the_store_refused_is_not_acknowledged_and_the_next_one_works() {
    let world = World::new([Script::new().text("here")]);
    let agent = world.agent("a").await;
    world.faults.fail_all(Op::Append, When::Before, StoreError::Full("no space left".into()));
    assert!(matches!(agent.send("lost?").await, Err(SendError::Store(StoreError::Full(_)))));
    world.faults.mend();
    let again = world.agent("a").await;
    assert_eq!(again.complete("hello").await.unwrap().text, "here");
    assert_eq!(again.view().transcript.len(), 2, "the refused message is not in the history");
}

#[tokio::test]
async fn g1_a_run_whose_store_failed_goes_on_by_itself_once_the_store_is_back() {
    let gate = Gate::default();
    let world = World::new([Script::new().text("first").hold(&gate), Script::new().text("second")]);
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    gate.arrived().await;
    world.faults.fail_nth(Op::Append, 1, When::Before, unavailable());
    gate.open();
    let told = until_rest(&agent, sent.cursor).await;
    let told: String = told.iter().map(|e| e.json()).collect();
    assert!(told.contains("\"text_reset\"") && told.contains("second"), "{told}");
    assert_eq!(told.matches("\"done\"").count(), 1);
}

#[tokio::test]
async fn g4_an_append_of_unknown_outcome_is_told_once() {
    let world = World::new([Script::new().text("first"), Script::new().text("second")]);
    let agent = world.agent("a").await;
    world.faults.fail_nth(Op::Append, 3, When::After, unavailable());
    let sent = agent.send("go").await.unwrap();
    let told = until_rest(&agent, sent.cursor).await;
    assert!(told.windows(2).all(|w| w[0].cursor < w[1].cursor));
    let dones = told.iter().filter(|e| e.json().contains("\"type\":\"done\"")).count();
    assert_eq!(dones, 1);
}

#[tokio::test]
async fn a_tool_that_panics_spoils_only_its_call() {
    let world = World::new([Script::new().call("broken", json!({})), Script::new().text("never mind")]);
    let agent = world.agent("a").await;
    let completion = agent.complete("go").await.unwrap();
    assert_eq!(
        (completion.status, completion.text.as_str()),
        (CompletionStatus::Done(DoneReason::Completed), "never mind")
    );
}

#[tokio::test]
async fn g9_a_model_that_panics_or_is_cut_fails_the_turn_and_not_the_agent() {
    let world = World::new([Script::new().text("half").panic(), Script::new().text("well")]);
    let agent = world.agent("a").await;
    let failed = agent.complete("go").await.unwrap();
    assert_eq!((failed.status, failed.text.as_str()), (CompletionStatus::Done(DoneReason::Failed), ""));
    assert_eq!(agent.complete("again").await.unwrap().text, "well");
}

#[tokio::test]
async fn g5_a_second_driver_fences_the_first() {
    let world = World::new([Script::new().text("mine")]);
    let first = world.agent("a").await;
    let second = world.agent("a").await;
    assert!(matches!(first.send("x").await, Err(SendError::Store(StoreError::Fenced { .. }))));
    assert_eq!(second.complete("y").await.unwrap().text, "mine");
}

#[tokio::test]
async fn g7_an_unknown_template_leaves_no_trace() {
    let world = World::new([]);
    let spec = AgentSpec { template: Some(TemplateId::new("nope")), ..AgentSpec::default() };
    let refused = world.runtime.resume_or_create(&world.id("a"), spec).await.err();
    assert_eq!(refused, Some(OpenError::UnknownTemplate(TemplateId::new("nope"))));
    use kode_core::store::{Catalog, Leases};
    assert_eq!(world.store.unfinished().await.unwrap(), []);
    assert_eq!(world.store.list("", None, 10).await.unwrap(), []);
}

/// Found by a simulated world (seed 30): the wait was as long as the clocks differed.
#[tokio::test]
async fn a_retry_waits_as_long_as_it_should_where_the_last_writers_clock_was_ahead() {
    let ahead = World::new([Script::new().text("first")]);
    ahead.clock.advance(600_000);
    ahead.agent("a").await.complete("hello").await.unwrap();

    let busy = ModelError::retryable(ErrorClass::Overloaded, "busy");
    let scripts = [Script::new().fail(busy), Script::new().text("second")];
    let world = World::over(ahead.store.clone(), crate::world::template(), scripts);
    let agent = world.agent("a").await;
    let sent = agent.send("again").await.unwrap();
    let mut events = agent.subscription(sent.cursor);
    while !matches!(events.next().await.unwrap().unwrap().event, Event::Error { .. }) {}
    world.clock.advance(30_000);
    let rest = until_rest(&agent, sent.cursor);
    let told = tokio::time::timeout(Duration::from_secs(10), rest).await.expect("the retry is made");
    assert!(told.iter().any(|event| event.json().contains("second")));
    let times: Vec<_> = told.iter().map(|event| event.bookmark.timestamp).collect();
    assert!(times.is_sorted() && times[0] >= ahead.clock.now(), "time never runs backwards: {times:?}");
}
