//! One agent in process: a message in, the answer as it comes. Run it again: the agent remembers.

use std::io::Write;
use std::sync::Arc;

use examples::glm;
use futures_util::StreamExt;
use kode_core::event::{Channels, Event};
use kode_core::id::AgentId;
use kode_core::template::Template;
use kode_core::{AgentSpec, Runtime};
use kode_sandbox::LocalSandbox;
use kode_store_fs::FsStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "What did we talk about?".into());
    let runtime = Runtime::builder(
        Arc::new(FsStore::open("./.kode")?),
        glm()?,
        Arc::new(LocalSandbox::new("./workspace")?),
    )
    .tools(kode_tools::builtin())
    .template(Template::new("chat", "You are a helpful assistant.").with_tools(["fs_read", "fs_write"]))
    .default_model("glm-4.5-air")
    .build()?;

    let agent = runtime.resume_or_create(&AgentId::new("user:me")?, AgentSpec::default()).await?.agent;
    let sent = agent.send(text).await?;
    let mut events = agent.subscribe(Channels::default(), sent.cursor);
    while let Some(envelope) = events.next().await {
        match &envelope.event {
            Event::TextChunk { delta, .. } => print!("{delta}"),
            Event::ToolEnd { call } => println!("\n[{} {:?}]", call.name, call.state),
            Event::Done { reason, .. } => {
                println!("\n({reason:?})");
                break;
            }
            _ => {}
        }
        std::io::stdout().flush()?;
    }
    agent.put_away(false).await;
    Ok(())
}
