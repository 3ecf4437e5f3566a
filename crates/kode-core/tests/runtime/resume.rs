//! Taking an agent up again in a way of the host's own: by its word on running calls, with another template,
//! without a tool. Scenarios 26, 28 and 29.

use std::sync::Arc;

use kode_core::event::DoneReason;
use kode_core::id::TemplateId;
use kode_core::machine::{Rejected, Settlement, Strategy};
use kode_core::store::Journal;
use kode_core::template::{Permission, Template};
use kode_core::{Agent, CompletionStatus, OpenError, ResumeOptions, Runtime, SendError};
use kode_testkit::clock::{CountingIds, SimClock};
use kode_testkit::scripted_model::{Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::json;

use crate::world::{Slow, World, kinds, template, until_rest};

/// The next process over the same store, with these templates and the one tool.
fn next(world: &World, templates: impl IntoIterator<Item = Template>, says: &str) -> Runtime {
    let model = ScriptedModel::always(Script::new().text(says));
    let builder = Runtime::builder(Arc::new(world.store.clone()), model, Arc::new(MemorySandbox::new()))
        .tool(Arc::new(kode_core::tool::Typed(Slow(world.gate.clone()))))
        .clock(Arc::new(SimClock::default()))
        .ids(Arc::new(CountingIds::default()))
        .holder("test", 10_000_000);
    templates.into_iter().fold(builder, kode_core::RuntimeBuilder::template).build().unwrap()
}

fn with_slow() -> Template {
    template().with_tools(["slow"])
}

/// An agent whose call was running when its process ended.
async fn cut_off() -> World {
    let world = World::new([Script::new().call("slow", json!({}))]);
    let agent = world.agent("a").await;
    agent.send("go").await.unwrap();
    world.gate.arrived().await;
    assert!(agent.put_away(true).await);
    world
}

/// An agent whose call waits for a person.
async fn asking() -> World {
    let permission = Permission { require_approval: vec!["slow".into()], ..Permission::default() };
    let world = World::with(Template { permission, ..template() }, [Script::new().call("slow", json!({}))]);
    let agent = world.agent("a").await;
    let paused = agent.complete("go").await.unwrap();
    assert_eq!(paused.status, CompletionStatus::Paused);
    assert!(agent.put_away(false).await);
    world
}

fn manual() -> ResumeOptions {
    ResumeOptions { strategy: Strategy::Manual, ..ResumeOptions::default() }
}

async fn settle(agent: &Agent, outcome: Settlement) -> Result<(), SendError> {
    let call = agent.view().unsettled[0].call.id.clone();
    agent.settle(&call, outcome, "ann").await
}

#[tokio::test]
async fn g3_a_manual_resume_reports_what_ran_and_waits_for_the_hosts_word() {
    let world = cut_off().await;
    let runtime = next(&world, [with_slow()], "deployed");
    let agent = runtime.resume_with(&world.id("a"), manual()).await.unwrap();
    let from = agent.view().turn_began.unwrap();
    assert_eq!(agent.view().unsettled.len(), 1);
    settle(&agent, Settlement::Done(json!({ "code": 0 }))).await.unwrap();
    let told = until_rest(&agent, from).await;
    assert!(kinds(&told).contains(&"agent_resumed".to_owned()));
    let text: String = told.iter().map(|e| e.json()).collect();
    assert!(text.contains(r#""strategy":"manual","sealed":[]"#) && text.contains("deployed"), "{text}");
    assert_eq!(kinds(&told).iter().filter(|kind| *kind == "tool:end").count(), 1);
    let call = agent.view().transcript.iter().nth(1).map(|m| m.content.len());
    assert_eq!(call, Some(1));
    let late = agent.settle(&kode_core::id::CallId::of(1, 0), Settlement::Unknown, "ann").await;
    assert!(matches!(late, Err(SendError::Rejected(Rejected::NotUnsettled(_)))));
}

#[tokio::test]
async fn g6_a_manual_resume_keeps_the_approvals_that_wait() {
    let world = asking().await;
    let agent = next(&world, [with_slow()], "ok").resume_with(&world.id("a"), manual()).await.unwrap();
    assert_eq!((agent.view().approvals.len(), agent.view().unsettled.len()), (1, 0));
}

#[tokio::test]
async fn g7_a_missing_tool_is_named_and_touches_nothing_until_an_override_lets_its_call_fail() {
    let world = asking().await;
    let head = world.store.head(&world.id("a")).await.unwrap();
    let bare = Template { tools: Template::new("plain", "").tools, ..template() };
    let runtime = next(&world, [bare], "I go on without it");
    let refused = runtime.resume(&world.id("a")).await.err();
    let missing = OpenError::MissingTool {
        agent: world.id("a"),
        tool: "slow".into(),
        template: TemplateId::new("plain"),
    };
    assert_eq!(refused, Some(missing));
    assert_eq!(world.store.head(&world.id("a")).await.unwrap(), head, "nothing was touched");

    let without = ResumeOptions { without_missing_tools: true, ..ResumeOptions::default() };
    let agent = runtime.resume_with(&world.id("a"), without).await.unwrap();
    let from = agent.view().turn_began.unwrap();
    if let Some(open) = agent.view().approvals.first() {
        agent.decide(&open.call.id, kode_core::call::Decision::Allow, "ann", None).await.unwrap();
    }
    let told: String = until_rest(&agent, from).await.iter().map(|e| e.json()).collect();
    assert!(told.contains("there is no tool") && told.contains("I go on without it"), "{told}");
}

#[tokio::test]
async fn g7_a_missing_template_is_named_and_another_can_stand_in_for_it() {
    let world = cut_off().await;
    let head = world.store.head(&world.id("a")).await.unwrap();
    let other = Template { id: TemplateId::new("other"), ..with_slow() };
    let runtime = next(&world, [other], "as another");
    let refused = runtime.resume(&world.id("a")).await.err();
    assert_eq!(refused, Some(OpenError::UnknownTemplate(TemplateId::new("plain"))));
    assert_eq!(world.store.head(&world.id("a")).await.unwrap(), head, "nothing was touched");

    let template = Some(TemplateId::new("other"));
    let instead = ResumeOptions { template, ..ResumeOptions::default() };
    let agent = runtime.resume_with(&world.id("a"), instead).await.unwrap();
    let told = until_rest(&agent, agent.view().turn_began.unwrap_or_default()).await;
    let text: String = told.iter().map(|e| e.json()).collect();
    assert!(text.contains("as another") && text.contains(r#""reason":"completed""#), "{text}");
    assert_eq!(agent.view().template, Some(TemplateId::new("plain")), "it stays what it is");
}

#[tokio::test]
async fn g2_an_interrupt_ends_the_waiting_for_the_host() {
    let world = cut_off().await;
    let runtime = next(&world, [with_slow()], "hello again");
    let agent = runtime.resume_with(&world.id("a"), manual()).await.unwrap();
    let from = agent.view().turn_began.unwrap();
    agent.interrupt("ann", None).await.unwrap();
    let told: String = until_rest(&agent, from).await.iter().map(|e| e.json()).collect();
    assert!(told.contains(r#""reason":"interrupted""#) && told.contains("unknown"), "{told}");
    let next = agent.complete("and now?").await.unwrap();
    assert_eq!(
        (next.status, next.text.as_str()),
        (CompletionStatus::Done(DoneReason::Completed), "hello again")
    );
}
