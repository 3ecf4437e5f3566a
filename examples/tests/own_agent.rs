//! A snapshot test of one's own agent: a scripted model, files in memory, and the events that users would see.

use std::sync::Arc;

use futures_util::StreamExt;
use kode_core::event::{Channel, Channels, Event};
use kode_core::id::AgentId;
use kode_core::store::memory::MemoryStore;
use kode_core::template::Template;
use kode_core::{AgentSpec, Runtime};
use kode_testkit::scripted_model::{Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::json;

#[tokio::test]
async fn the_secretary_writes_a_note_and_says_so() {
    let model = ScriptedModel::new([
        Script::new()
            .text("I note it.")
            .call("fs_write", json!({ "path": "note.txt", "content": "tea at four" })),
        Script::new().text("Noted: tea at four."),
    ]);
    let sandboxes = Arc::new(MemorySandbox::new());
    let runtime = Runtime::builder(Arc::new(MemoryStore::default()), model, sandboxes.clone())
        .tools(kode_tools::builtin())
        .template(Template::new("secretary", "You keep notes.").with_tools(["fs_write"]))
        .build()
        .expect("the template's tools are registered");
    let id = AgentId::new("user:1").expect("a plain name");
    let opened = runtime.resume_or_create(&id, AgentSpec::default()).await.expect("the store is in memory");

    let sent = opened.agent.send("Remember: tea at four.").await.expect("the agent is live");
    let mut events = opened.agent.subscribe(Channels::of(&[Channel::Progress]), sent.cursor);
    let mut told = Vec::new();
    while let Some(envelope) = events.next().await {
        told.push(line(&envelope.event));
        if matches!(envelope.event, Event::Done { .. }) {
            break;
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    text_chunk_start
    text_chunk "I note it."
    text_chunk_end
    tool:start fs_write
    tool:end fs_write Completed
    text_chunk_start
    text_chunk "Noted: tea at four."
    text_chunk_end
    done Completed
    "#);
    assert_eq!(sandboxes.workspace(&id).text("note.txt").as_deref(), Some("tea at four"));
}

/// What a user would notice of an event; times and ids are left out.
fn line(event: &Event) -> String {
    let kind =
        serde_json::to_value(event).expect("events are JSON")["type"].as_str().unwrap_or_default().to_owned();
    match event {
        Event::TextChunk { delta, .. } => format!("{kind} {delta:?}"),
        Event::ToolStart { call } => format!("{kind} {}", call.name),
        Event::ToolEnd { call } => format!("{kind} {} {:?}", call.name, call.state),
        Event::Done { reason, .. } => format!("{kind} {reason:?}"),
        _ => kind,
    }
}
