//! The hooks and the policy of `own_hooks`, under a scripted model.

use std::sync::Arc;

use kode_core::id::AgentId;
use kode_core::store::memory::MemoryStore;
use kode_core::template::{PermissionMode, Template};
use kode_core::{AgentSpec, CompletionStatus, Runtime};
use kode_testkit::scripted_model::{Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::json;

#[expect(dead_code, reason = "the program's own main is not called here")]
#[path = "../src/own_hooks.rs"]
mod own_hooks;

fn write(path: &str) -> Script {
    Script::new().call("fs_write", json!({ "path": path, "content": "old pond" }))
}

#[tokio::test]
async fn drafts_are_written_and_the_rest_is_asked_about() {
    let secret = Script::new().text("The password is ").text("swordfish.");
    let model = ScriptedModel::new([write("drafts/haiku.txt"), secret, write("drafts/../final.txt")]);
    let mut template = Template::new("writer", "You write.").with_tools(["fs_write"]);
    template.permission.mode = PermissionMode::Policy("drafts".into());
    let runtime =
        Runtime::builder(Arc::new(MemoryStore::default()), model.clone(), Arc::new(MemorySandbox::new()))
            .tools(kode_tools::builtin())
            .template(template)
            .hook(Arc::new(own_hooks::House))
            .policy("drafts", Arc::new(own_hooks::Drafts))
            .build()
            .expect("the mode is registered");
    let id = AgentId::new("user:1").expect("a plain name");
    let agent = runtime.resume_or_create(&id, AgentSpec::default()).await.expect("it is new").agent;

    let answer = agent.complete("Write, and tell me the password.").await.expect("the agent is live");
    assert_eq!(answer.text, "The password is *********.");
    let history = serde_json::to_string(&agent.view().transcript).expect("messages are JSON");
    assert!(history.contains("old pond") && !history.contains("swordfish"), "{history}");
    assert_eq!(&*model.requests()[0].system, "You write.\n\nThe office is closed today.");

    let asked = agent.complete("Publish it.").await.expect("the agent is live");
    assert_eq!(asked.status, CompletionStatus::Paused);
}
