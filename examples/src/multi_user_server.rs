//! The multi-user server: one runtime for the process, one agent for each user, over HTTP.
//!
//! ```console
//! curl -H 'content-type: application/json' -d '{"message":"hello"}' http://127.0.0.1:3000/api/chat/alice
//! curl -N 'http://127.0.0.1:3000/api/chat/alice/stream?since=0'
//! ```

use std::sync::Arc;
use std::time::Duration;

use examples::glm;
use kode_core::event::Event;
use kode_core::template::{Template, TodoConfig};
use kode_core::{Agent, Runtime};
use kode_pool::{Pool, PoolOptions};
use kode_sandbox::LocalSandbox;
use kode_server::ServerConfig;
use kode_store_fs::FsStore;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Called for each agent that is created or resumed, so that no binding is forgotten.
fn bind_monitoring(agent: &Agent) {
    let id = agent.id().clone();
    let told = |event: &Event| {
        matches!(event, Event::ToolExecuted { .. } | Event::Error { .. } | Event::PermissionRequired { .. })
    };
    agent.on(told, move |envelope| match &envelope.event {
        Event::ToolExecuted { call } => println!("[{id}] {} took {:?} ms", call.name, call.duration_ms),
        Event::Error { phase, message, .. } => eprintln!("[{id}] {phase:?}: {message}"),
        Event::PermissionRequired { call, reason } => println!("[{id}] {} waits: {reason}", call.name),
        _ => {}
    });
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let template = Template {
        todo: TodoConfig { enabled: true, ..TodoConfig::default() },
        ..Template::new("chat-assistant", "你是一个有帮助的AI助手，用中文回答问题。")
    };
    let runtime = Runtime::builder(
        Arc::new(FsStore::open("./.kode")?),
        glm()?,
        Arc::new(LocalSandbox::new("./workspace")?),
    )
    .tools(kode_tools::builtin())
    .template(template.with_tools(["todo_read", "todo_write", "fs_read", "fs_write"]))
    .default_model("glm-4.5-air")
    .on_agent(bind_monitoring)
    .build()?;

    let pool = Pool::new(runtime, PoolOptions::default());
    pool.resume_unfinished().await?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopping.cancel();
        }
    });
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("one runtime, one agent per user, on http://127.0.0.1:3000");
    kode_server::serve(listener, pool.clone(), ServerConfig::default(), stop).await?;
    pool.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
