//! Hooks and a policy of one's own: what the model is told of the day, what users may not read, and who may write.

use std::sync::Arc;

use async_trait::async_trait;
use examples::glm;
use kode_core::hook::{Amendment, Answer, Hook, HookCall, HookPoints};
use kode_core::id::AgentId;
use kode_core::message::Block;
use kode_core::model::ModelRequest;
use kode_core::policy::{Policy, Ruling};
use kode_core::store::memory::MemoryStore;
use kode_core::template::{PermissionMode, Template};
use kode_core::tool::ToolTraits;
use kode_core::{AgentSpec, Runtime};
use kode_sandbox::LocalSandbox;

/// Tells the model something in each request, and takes a word out of each answer before it becomes history.
pub struct House;

#[async_trait]
impl Hook for House {
    fn points(&self) -> HookPoints {
        HookPoints { pre_model: true, post_model: true, ..HookPoints::NONE }
    }

    async fn pre_model(&self, _agent: &AgentId, _request: &ModelRequest) -> Amendment {
        Amendment { system: Some("The office is closed today.".into()), ..Amendment::default() }
    }

    async fn post_model(&self, _agent: &AgentId, answer: &Answer) -> Option<Answer> {
        let hide = |block: &Block| match block {
            Block::Text { text } => Block::text(text.replace("swordfish", "*********")),
            other => other.clone(),
        };
        let content = answer.content.iter().map(hide).collect();
        Some(Answer { content, calls: answer.calls.clone() })
    }
}

/// Lets everyone read, and asks a person before anything is written outside of `drafts`.
pub struct Drafts;

#[async_trait]
impl Policy for Drafts {
    async fn rule(&self, call: &HookCall, traits: ToolTraits) -> Ruling {
        match call.input["path"].as_str() {
            _ if traits.readonly => Ruling::Allow,
            Some(path) if path.starts_with("drafts/") && !path.contains("..") => Ruling::Allow,
            _ => Ruling::Ask(format!("{} is not a draft", call.input["path"])),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut template = Template::new("writer", "You write.").with_tools(["fs_read", "fs_write"]);
    template.permission.mode = PermissionMode::Policy("drafts".into());
    let sandboxes = Arc::new(LocalSandbox::new("./workspace")?);
    let runtime = Runtime::builder(Arc::new(MemoryStore::default()), glm()?, sandboxes)
        .tools(kode_tools::builtin())
        .template(template)
        .hook(Arc::new(House))
        .policy("drafts", Arc::new(Drafts))
        .default_model("glm-4.5-air")
        .build()?;
    let agent = runtime.resume_or_create(&AgentId::new("user:me")?, AgentSpec::default()).await?.agent;
    let answer = agent.complete("Write a haiku into drafts/haiku.txt").await?;
    println!("{:?}: {}", answer.status, answer.text);
    Ok(())
}
