//! Stages for the stories: an agent with files, in memory and on disk, and a host that keeps its todos.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::id::{AgentId, CallId};
use kode_core::sandbox::{
    FileError, FileStat, SandboxFactory, SandboxReport, WalkEntry, WalkOptions, Workspace,
};
use kode_core::store::{StoreError, StoreResult};
use kode_core::template::SandboxSpec;
use kode_core::todo::{Todo, TodoList, check};
use kode_core::tool::{Cancel, TodoRefused, Tool, ToolCx, ToolError, ToolHost};
use kode_sandbox::LocalSandbox;
use kode_testkit::workspace::MemoryWorkspace;
use serde_json::Value;

/// An agent that can call every built-in tool.
pub(crate) struct Stage {
    /// Told when a story fails.
    pub(crate) name: &'static str,
    pub(crate) cx: ToolCx,
    /// A second way to the same files, as something else in the world has.
    pub(crate) other: Arc<dyn Workspace>,
    _dir: Option<tempfile::TempDir>,
}

/// The same files on every stage.
pub(crate) async fn stages(files: &[(&str, &str)]) -> Vec<Stage> {
    vec![memory(files), disk(files).await]
}

fn memory(files: &[(&str, &str)]) -> Stage {
    let work = MemoryWorkspace::new();
    files.iter().for_each(|(path, content)| work.put(path, content));
    let work = Arc::new(work);
    Stage { name: "memory", cx: cx(work.clone()), other: Arc::new(Other(work)), _dir: None }
}

pub(crate) async fn disk(files: &[(&str, &str)]) -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = LocalSandbox::new(dir.path()).unwrap();
    let open = || async { sandbox.open(&agent(), &SandboxSpec::default()).await.unwrap() };
    let (work, other) = (open().await, open().await);
    for (path, content) in files {
        other.write(path, content.as_bytes()).await.unwrap();
    }
    Stage { name: "disk", cx: cx(work), other, _dir: Some(dir) }
}

/// A stage over a workspace of the test's own.
pub(crate) fn over(work: MemoryWorkspace) -> Stage {
    let work = Arc::new(work);
    Stage { name: "memory", cx: cx(work.clone()), other: Arc::new(Other(work)), _dir: None }
}

impl Stage {
    /// Calls a tool as the runtime does: arguments checked, then run.
    pub(crate) async fn call(&self, name: &str, input: Value) -> Result<Value, ToolError> {
        let tool = tool(name);
        tool.check(&input)?;
        tool.call(&self.cx, input).await
    }

    /// A call that must work.
    pub(crate) async fn ok(&self, name: &str, input: Value) -> Value {
        self.call(name, input).await.unwrap_or_else(|e| panic!("{name} on {}: {e:?}", self.name))
    }

    /// The error of a call that must fail: its code, and its message and hint on two lines.
    pub(crate) async fn refused(&self, name: &str, input: Value) -> (String, String) {
        let error = self.call(name, input).await.expect_err("the call is refused");
        (error.code, format!("{}\n{}", error.message, error.hint.unwrap()))
    }

    /// What is in a file, unnoticed by the agent.
    pub(crate) async fn text(&self, path: &str) -> String {
        String::from_utf8(self.other.read(path, 1 << 30).await.unwrap()).unwrap()
    }

    /// Something else changes a file.
    pub(crate) async fn change(&self, path: &str, content: impl AsRef<[u8]> + Send) {
        self.other.read(path, 1 << 30).await.ok();
        self.other.write(path, content.as_ref()).await.unwrap();
    }
}

pub(crate) fn tool(name: &str) -> Arc<dyn Tool> {
    kode_tools::builtin().into_iter().find(|tool| tool.spec().name == name).unwrap()
}

fn agent() -> AgentId {
    AgentId::new("user:1").unwrap()
}

fn cx(workspace: Arc<dyn Workspace>) -> ToolCx {
    cx_with(workspace, Host::default())
}

/// A stage whose agent has this result of `call_1_0` kept.
pub(crate) fn keeping(result: impl Into<Bytes>) -> Stage {
    let work = Arc::new(MemoryWorkspace::new());
    let host = Host { kept: Some(result.into()), ..Host::default() };
    Stage { name: "memory", cx: cx_with(work.clone(), host), other: Arc::new(Other(work)), _dir: None }
}

fn cx_with(workspace: Arc<dyn Workspace>, host: Host) -> ToolCx {
    let host = Arc::new(host);
    let (cancel, time_limit) = (Cancel::default(), Duration::from_secs(120));
    ToolCx { agent: agent(), call: CallId::of(1, 0), workspace, host, cancel, time_limit }
}

/// Keeps todos and one result as an agent does.
#[derive(Default)]
struct Host {
    todos: Mutex<TodoList>,
    kept: Option<Bytes>,
}

#[async_trait]
impl ToolHost for Host {
    fn todos(&self) -> TodoList {
        self.todos.lock().unwrap().clone()
    }

    async fn set_todos(&self, todos: Vec<Todo>) -> Result<TodoList, TodoRefused> {
        check(&todos)?;
        let mut list = self.todos.lock().unwrap();
        *list = TodoList { todos, version: list.version + 1 };
        Ok(list.clone())
    }

    async fn read_result(&self, call: &CallId) -> StoreResult<Option<Bytes>> {
        match call.as_str() {
            "call_1_0" => Ok(self.kept.clone()),
            "call_0_0" => Err(StoreError::Unavailable("the wire is cut".into())),
            _ => Ok(None),
        }
    }

    async fn emit(&self, _: &CallId, _: &str, _: Value) {}
}

/// Files in memory without the agent's memory of them.
struct Other(Arc<MemoryWorkspace>);

#[async_trait]
impl Workspace for Other {
    async fn stat(&self, path: &str) -> Result<FileStat, FileError> {
        self.0.stat(path).await
    }

    async fn read(&self, path: &str, _: u64) -> Result<Vec<u8>, FileError> {
        let missing = || FileError::NotFound(path.to_owned());
        self.0.content(path).ok_or_else(missing)
    }

    async fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        self.0.put(path, content);
        Ok(())
    }

    async fn walk(
        &self,
        path: &str,
        options: WalkOptions,
        limit: usize,
    ) -> Result<(Vec<WalkEntry>, bool), FileError> {
        self.0.walk(path, options, limit).await
    }

    fn report(&self) -> Arc<SandboxReport> {
        self.0.report()
    }
}
