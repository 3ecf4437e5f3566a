//! A decision that is written down by a process that runs nothing: what follows from it happens where the
//! agent is taken up next.

use kode_core::call::Decision;
use kode_core::event::{DoneReason, Event};
use kode_core::id::{CallId, Cursor};
use kode_core::machine::{Input, Rejected};
use kode_core::store::{Journal, Leases};
use kode_core::template::{Permission, Template};
use kode_core::{OpenError, RecordError};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, kinds, template, until_rest};

fn asking() -> Template {
    let permission = Permission { require_approval: vec!["slow".into()], ..Permission::default() };
    Template { permission, ..template() }
}

fn call() -> CallId {
    CallId::of(1, 0)
}

fn decide(decision: Decision) -> Input {
    Input::Decide { call: call(), decision, by: "ann".into(), note: Some("go on".into()) }
}

/// An agent that waits for a person, with nobody who drives it.
async fn waiting() -> World {
    let world =
        World::with(asking(), [Script::new().call("slow", json!({})), Script::new().text("it is done")]);
    let agent = world.agent("a").await;
    agent.complete("go").await.unwrap();
    assert!(agent.put_away(true).await);
    world
}

#[tokio::test]
async fn g6_a_decision_on_an_agent_that_nobody_runs_is_kept_and_starts_nothing() {
    let world = waiting().await;
    let id = world.id("a");
    let mut reader = world.runtime.subscription(&id, world.runtime.look(&id).await.unwrap().unwrap().cursor);
    world.runtime.record(&id, decide(Decision::Allow)).await.unwrap();

    let told = [reader.next_ready().await.unwrap().unwrap(), reader.next_ready().await.unwrap().unwrap()];
    assert_eq!(kinds(&told), ["agent_resumed", "permission_decided"]);
    assert_eq!(reader.next_ready().await.unwrap(), None, "nothing else follows yet");
    assert_eq!(world.model.requests().len(), 1, "no model is asked");
    assert!(world.runtime.look(&id).await.unwrap().unwrap().approvals.is_empty());
    assert_eq!(world.store.unfinished().await.unwrap().len(), 1, "it is found by the next start");
    let again = world.runtime.record(&id, decide(Decision::Deny)).await;
    assert_eq!(again, Err(RecordError::Rejected(Rejected::Decided(call()))));

    world.gate.open();
    let agent = world.runtime.resume(&id).await.unwrap();
    let events = until_rest(&agent, Cursor::ZERO).await;
    let once = |kind: &str| kinds(&events).iter().filter(|k| *k == kind).count();
    assert_eq!((once("permission_decided"), once("tool:end"), once("done")), (1, 1, 1));
    let last = events.last().unwrap();
    assert!(matches!(&last.event, Event::Done { reason: DoneReason::Completed, .. }), "{last:?}");
}

#[tokio::test]
async fn g7_a_record_that_is_refused_leaves_no_trace() {
    let world = waiting().await;
    let id = world.id("a");
    let head = world.store.head(&id).await.unwrap();
    let other =
        Input::Decide { call: CallId::of(9, 9), decision: Decision::Allow, by: "ann".into(), note: None };
    let refused = world.runtime.record(&id, other).await;
    assert_eq!(refused, Err(RecordError::Rejected(Rejected::NoApproval(CallId::of(9, 9)))));
    assert_eq!(world.store.head(&id).await.unwrap(), head);

    let nobody = world.id("nobody");
    let missing = world.runtime.record(&nobody, decide(Decision::Allow)).await;
    assert_eq!(missing, Err(RecordError::Open(OpenError::NotFound(nobody.clone()))));
    assert_eq!(
        world.store.unfinished().await.unwrap(),
        [id],
        "no lease was taken for a name that nobody has"
    );
}
