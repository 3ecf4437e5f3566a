//! Interrupts: what is under way is dropped, each open call gets one result, and the next message works.

use kode_core::event::DoneReason;
use kode_core::{CompletionStatus, Interrupted};
use kode_testkit::scripted_model::{Gate, Script};
use serde_json::json;

use crate::world::{World, kinds, until_rest};

#[tokio::test]
async fn an_idle_agent_has_nothing_to_interrupt() {
    let world = World::new([]);
    assert_eq!(world.agent("a").await.interrupt("me", None).await.unwrap(), Interrupted::Idle);
}

#[tokio::test]
async fn in_mid_answer_the_text_so_far_stays_and_the_next_message_works() {
    let gate = Gate::default();
    let world =
        World::new([Script::new().text("half an ").hold(&gate).text("answer"), Script::new().text("whole")]);
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    gate.arrived().await;
    agent.interrupt("me", Some("enough".into())).await.unwrap();
    let told = kinds(&until_rest(&agent, sent.cursor).await);
    assert_eq!(told.iter().filter(|k| *k == "done").count(), 1);
    assert_eq!(
        told.iter().filter(|k| *k == "text_chunk_end").count(),
        told.iter().filter(|k| *k == "text_chunk_start").count()
    );
    let next = agent.complete("again").await.unwrap();
    assert_eq!((next.status, next.text.as_str()), (CompletionStatus::Done(DoneReason::Completed), "whole"));
}

#[tokio::test]
async fn g2_a_running_tool_is_dropped_and_its_call_has_one_result() {
    let world = World::new([Script::new().call("slow", json!({})), Script::new().text("fine")]);
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    world.gate.arrived().await;
    agent.interrupt("me", None).await.unwrap();
    let told = kinds(&until_rest(&agent, sent.cursor).await);
    assert_eq!(told.iter().filter(|k| *k == "tool:end").count(), 1);
    let last = agent.view().transcript.last().unwrap().clone();
    assert!(serde_json::to_string(&last.content).unwrap().contains("may have taken effect"));
    assert_eq!(agent.complete("next").await.unwrap().text, "fine");
}

#[tokio::test]
async fn g10_a_tool_that_does_not_come_back_is_given_up_at_its_time_out() {
    let world = World::new([Script::new().call("slow", json!({})), Script::new().text("without it, then")]);
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    world.gate.arrived().await;
    world.clock.advance(120_000);
    let told = until_rest(&agent, sent.cursor).await;
    assert!(told.iter().any(|e| e.json().contains("did not end within 120 s")));
    assert_eq!(world.model.requests().len(), 2, "the turn goes on without the tool");
}
