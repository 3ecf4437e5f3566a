//! The tool port: what a tool declares, what it is given, what it gives back.
//!
//! Most tools implement [`TypedTool`], whose schema follows from its arguments; [`Tool`] is the erased form
//! that registries hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hook::Hook;
use crate::id::{AgentId, CallId};
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

/// Tells a tool that blocks a thread that its result is no longer wanted. An asynchronous tool needs no
/// such thing: its future is dropped.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether anyone else holds it: then something of the call is still there.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
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
    const TRAITS: ToolTraits = ToolTraits { readonly: false, replayable: false };

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
