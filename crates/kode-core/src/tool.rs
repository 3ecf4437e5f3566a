//! The tool port: what a tool declares, what it is given, what it gives back.
//!
//! Most tools implement [`TypedTool`], whose schema follows from its arguments; [`Tool`] is the erased form
//! that registries hold.

mod cancel;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::cancel::{Cancel, Leash};
use crate::hook::Hook;
use crate::id::{AgentId, CallId, JobId};
use crate::machine::Job;
use crate::model::ToolSpec;
use crate::sandbox::Workspace;
use crate::store::StoreResult;
use crate::todo::{InvalidTodos, Todo, TodoList};

/// Where the whole of a result is that was too long for the model: `@result/<callId>` is a path for tools that read
/// files, see [`ToolHost::read_result`].
pub const RESULTS: &str = "@result/";

/// What the runtime must know of a tool beside its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ToolTraits {
    /// It changes nothing: allowed in `readonly`, never asked about in `approval`.
    pub readonly: bool,
    /// Running it twice is as good as once: it may be started again after a crash.
    pub replayable: bool,
    /// It runs processes: its record says at which sandbox level, and no writer lets go of its agent before they are
    /// gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub processes: bool,
}

impl ToolTraits {
    /// None of them, for constants: `ToolTraits { readonly: true, ..ToolTraits::NONE }`.
    pub const NONE: Self = Self { readonly: false, replayable: false, processes: false };
}

/// Why a tool gave no result. The model reads all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// A stable code such as `not_found`.
    pub code: String,
    /// What and why.
    pub message: String,
    /// What the model can do about it.
    pub hint: Option<String>,
}

impl ToolError {
    /// A failure with its code.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What the agent offers a running tool.
#[async_trait]
pub trait ToolHost: Send + Sync {
    /// The todo list as of now.
    fn todos(&self) -> TodoList;

    /// Replaces the todo list; durable when it returns.
    ///
    /// # Errors
    /// The rule that the new list breaks, or that the agent is gone.
    async fn set_todos(&self, todos: Vec<Todo>) -> Result<TodoList, TodoRefused>;

    /// The whole of a result of this agent's that was too long for the model, or as much of it as was kept; `None`
    /// where nothing was kept.
    ///
    /// # Errors
    /// The store's.
    async fn read_result(&self, call: &CallId) -> StoreResult<Option<Bytes>> {
        let _ = call;
        Ok(None)
    }

    /// Tells the monitor channel something (`tool_custom_event`); durable when it returns. Dropped in
    /// silence when the call is no longer running.
    async fn emit(&self, call: &CallId, event_type: &str, data: Value);

    /// Starts a background job for a running call, one at most for each. It is durable when this returns, runs from
    /// then on, and outlives the call.
    ///
    /// # Errors
    /// [`JobRefused`]: nothing was started.
    async fn start_job(&self, call: &CallId, line: String) -> Result<JobId, JobRefused> {
        let _ = (call, line);
        Err(JobRefused::Unavailable("this host runs no background jobs".into()))
    }

    /// Ends a job of this agent's for the model, and returns once it is over. Whether it was running.
    ///
    /// # Errors
    /// [`JobRefused::Unavailable`].
    async fn kill_job(&self, job: &JobId) -> Result<bool, JobRefused> {
        let _ = job;
        Ok(false)
    }

    /// The agent's jobs: those that run, and those that ended last, with their ends.
    fn jobs(&self) -> Arc<Vec<Job>> {
        Arc::default()
    }

    /// Up to which place the model has read a job's output, as long as the agent is in memory; 0 where it has not.
    fn read_up_to(&self, job: &JobId) -> u64 {
        let _ = job;
        0
    }

    /// The model has read a job's output up to this place.
    fn set_read_up_to(&self, job: &JobId, place: u64) {
        let _ = (job, place);
    }
}

/// Why a background job was not started, or not ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobRefused {
    /// As many run as one agent may have.
    #[error("{0} background jobs run, which is as many as there may be")]
    TooMany(usize),
    /// The call has started one before.
    #[error("this call has started the background job {0} already")]
    Exists(JobId),
    /// The call is over or being stopped, the agent stopped, or its store refused.
    #[error("the background job cannot be had: {0}")]
    Unavailable(String),
}

/// Why a todo list was not replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TodoRefused {
    /// The list breaks a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidTodos),
    /// The version is no longer the current one.
    #[error("the todo list is at version {current} now; read it again")]
    VersionConflict {
        /// The current version.
        current: u64,
    },
    /// The agent stopped, or its store refused.
    #[error("the todo list could not be saved: {0}")]
    Unavailable(String),
}

/// What a running tool is given.
#[derive(Clone)]
pub struct ToolCx {
    /// Whose call.
    pub agent: AgentId,
    /// Which call.
    pub call: CallId,
    /// The agent's files, and nothing else of the machine.
    pub workspace: Arc<dyn Workspace>,
    /// The agent itself.
    pub host: Arc<dyn ToolHost>,
    /// Set when the call is no longer wanted.
    pub cancel: Cancel,
    /// How long the call may take from its start; then it is given up.
    pub time_limit: Duration,
}

impl ToolCx {
    /// Tells the monitor channel something; see [`ToolHost::emit`].
    pub async fn emit(&self, event_type: &str, data: Value) {
        self.host.emit(&self.call, event_type, data).await;
    }
}

/// A tool, as registries hold it.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// What the model is told.
    fn spec(&self) -> ToolSpec;

    /// What the runtime must know.
    fn traits(&self) -> ToolTraits {
        ToolTraits::default()
    }

    /// Checks arguments before policy, hooks and approvals see the call.
    ///
    /// # Errors
    /// What is wrong with them, for the model.
    fn check(&self, input: &Value) -> Result<(), ToolError>;

    /// Hooks that it brings: they are asked first, and about its own calls only. Asked once, when the runtime is
    /// built.
    fn hooks(&self) -> Vec<Arc<dyn Hook>> {
        Vec::new()
    }

    /// Runs the tool. Called at most once for a call unless [`ToolTraits::replayable`]. The future is
    /// dropped on interrupt and time-out. Work that it leaves behind in a thread should hold a clone of
    /// [`ToolCx::cancel`]: of a tool with too much of such work no call is started.
    ///
    /// # Errors
    /// [`ToolError`], which the model reads.
    async fn call(&self, cx: &ToolCx, input: Value) -> Result<Value, ToolError>;
}

/// A tool with typed arguments. Register one as [`Typed`]`(tool)`.
#[async_trait]
pub trait TypedTool: Send + Sync + 'static {
    /// Its arguments; field docs become the schema's descriptions.
    type Args: DeserializeOwned + JsonSchema + Send;

    /// Its name, `[a-zA-Z0-9_-]{1,64}`.
    const NAME: &'static str;

    /// What it does and when to use it, for the model.
    const DESCRIPTION: &'static str;

    /// What the runtime must know.
    const TRAITS: ToolTraits = ToolTraits::NONE;

    /// Hooks that it brings; see [`Tool::hooks`].
    fn hooks(&self) -> Vec<Arc<dyn Hook>> {
        Vec::new()
    }

    /// Runs the tool; see [`Tool::call`].
    ///
    /// # Errors
    /// [`ToolError`], which the model reads.
    async fn run(&self, cx: &ToolCx, args: Self::Args) -> Result<Value, ToolError>;
}

/// A [`TypedTool`] as a [`Tool`].
pub struct Typed<T>(pub T);

impl<T: TypedTool> Typed<T> {
    fn parse(input: Value) -> Result<T::Args, ToolError> {
        serde_json::from_value(input).map_err(|e| {
            ToolError::new("invalid_arguments", format!("the arguments of {} are wrong: {e}", T::NAME))
                .hint("compare them with the tool's schema and call it again")
        })
    }
}

/// Turns a choice of constants, as an enum with documented variants has it, into the `enum` that every
/// model knows; what the variants mean goes into the description.
fn plain_enum(schema: &mut Schema) {
    let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else { return };
    let Some(names) = choices.iter().map(|choice| choice["const"].as_str()).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let meanings = choices.iter().zip(&names).filter_map(|(choice, name)| {
        choice["description"].as_str().map(|meaning| format!("{name}: {meaning}"))
    });
    let own = schema.get("description").and_then(Value::as_str).map(str::to_owned);
    let description = own.into_iter().chain(meanings).collect::<Vec<_>>().join(" ");
    let names = Value::from(names);
    schema.remove("oneOf");
    schema.insert("type".into(), "string".into());
    schema.insert("enum".into(), names);
    schema.insert("description".into(), description.into());
}

#[async_trait]
impl<T: TypedTool> Tool for Typed<T> {
    fn spec(&self) -> ToolSpec {
        // Models and providers are at odds with references, so everything stands where it is used.
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let settings = settings.with_transform(RecursiveTransform(plain_enum));
        let mut schema = settings.into_generator().into_root_schema_for::<T::Args>().to_value();
        if let Some(top) = schema.as_object_mut() {
            // The name and the description are the tool's; some providers insist on the properties.
            top.remove("title");
            top.remove("description");
            top.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        ToolSpec { name: T::NAME.into(), description: T::DESCRIPTION.into(), input_schema: schema }
    }

    fn traits(&self) -> ToolTraits {
        T::TRAITS
    }

    fn hooks(&self) -> Vec<Arc<dyn Hook>> {
        self.0.hooks()
    }

    fn check(&self, input: &Value) -> Result<(), ToolError> {
        Self::parse(input.clone()).map(drop)
    }

    async fn call(&self, cx: &ToolCx, input: Value) -> Result<Value, ToolError> {
        self.0.run(cx, Self::parse(input)?).await
    }
}
