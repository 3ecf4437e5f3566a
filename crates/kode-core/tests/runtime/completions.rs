//! Completions: what a host that waits for the end of its message is given.

use kode_core::CompletionStatus;
use kode_core::call::Decision;
use kode_core::event::DoneReason;
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, template};

/// Scenario 2.
#[tokio::test]
async fn a_completion_has_the_answer() {
    let world = World::new([Script::new().text("Hello ").text("World")]);
    let agent = world.agent("a").await;
    let completion = agent.complete("greet").await.unwrap();
    assert_eq!(completion.status, CompletionStatus::Done(DoneReason::Completed));
    assert_eq!((completion.text.as_str(), agent.view().steps), ("Hello World", 1));
}

/// Scenario 23. Upstream hangs here [S]: who waits is told at once what is waited for, and the turn goes on once it
/// is decided.
#[tokio::test]
async fn g6_a_completion_that_waits_for_a_person_says_so_at_once() {
    let mut careful = template();
    careful.permission.require_approval = vec!["slow".into()];
    let scripts =
        [Script::new().call("slow", json!({})), Script::new().text("done"), Script::new().text("well")];
    let world = World::with(careful, scripts);
    world.gate.open();
    let agent = world.agent("a").await;
    let paused = agent.complete("go").await.unwrap();
    assert_eq!(paused.status, CompletionStatus::Paused);
    let asked: Vec<_> = paused.approvals.iter().map(|approval| approval.call.name.as_str()).collect();
    assert_eq!(asked, ["slow"]);
    agent.decide(&paused.approvals[0].call.id, Decision::Allow, "me", None).await.unwrap();
    assert_eq!(agent.complete("and?").await.unwrap().status, CompletionStatus::Done(DoneReason::Completed));
    assert_eq!(world.model.requests().len(), 3);
}
