//! Templates: what kind of agent an agent is. Shared and immutable while agents run.
//!
//! The shapes are those of `kode.toml`. Templates are consulted by `accept`, `advance` and `render`, current
//! at each turn, and never by `evolve`.

use serde::{Deserialize, Serialize};

use crate::id::TemplateId;

/// Which tools an agent may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ToolSet {
    /// Every registered tool (`"*"` in configuration).
    All(AllTools),
    /// These, by name.
    These(Vec<String>),
}

/// The text `"*"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AllTools {
    /// Every registered tool.
    #[serde(rename = "*")]
    Star,
}

impl<'de> Deserialize<'de> for ToolSet {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Text(String),
            List(Vec<String>),
        }
        match Shape::deserialize(from)? {
            Shape::Text(star) if star == "*" => Ok(Self::All(AllTools::Star)),
            Shape::Text(other) => Err(serde::de::Error::custom(format!(
                "tools is a list of tool names or \"*\", not {other:?}"
            ))),
            Shape::List(names) => Ok(Self::These(names)),
        }
    }
}

impl ToolSet {
    /// Whether the set has the tool.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All(AllTools::Star) => true,
            Self::These(names) => names.iter().any(|n| n == name),
        }
    }
}

impl Default for ToolSet {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

/// What happens to a call that no list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionMode {
    /// It runs.
    #[default]
    Auto,
    /// A call that changes something waits for a person.
    Approval,
    /// A call that changes something is refused.
    Readonly,
}

/// Who may call what: `deny` beats `allow` beats `require_approval` beats `mode`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permission {
    /// What happens to a call that no list names.
    pub mode: PermissionMode,
    /// Tools that wait for a person.
    pub require_approval: Vec<String>,
    /// If not empty, every other tool is refused.
    pub allow: Vec<String>,
    /// Tools that are refused.
    pub deny: Vec<String>,
    /// After how many seconds an undecided approval counts as denied; never, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_secs: Option<u64>,
}

/// The todo list's reminders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TodoConfig {
    /// Whether the agent is reminded at all.
    pub enabled: bool,
    /// After how many steps without a change.
    pub remind_every_steps: u32,
    /// Also when a turn begins with open todos.
    pub remind_on_start: bool,
}

impl Default for TodoConfig {
    fn default() -> Self {
        Self { enabled: false, remind_every_steps: 10, remind_on_start: false }
    }
}

/// Bounds of one turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Rounds of model and tools.
    pub max_steps: u32,
    /// Seconds, those spent waiting for approvals not counted.
    pub turn_secs: u64,
    /// Seconds for one tool call.
    pub tool_timeout_secs: u64,
    /// Tools at once.
    pub parallel_tools: usize,
    /// Tokens of one answer.
    pub max_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_steps: 50, turn_secs: 1_800, tool_timeout_secs: 120, parallel_tools: 3, max_tokens: 4_096 }
    }
}

/// How much the kernel must enforce for this agent's tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSpec {
    /// `strict` (the default) or a level by name; checked by the sandbox.
    pub level: String,
    /// Hosts that processes may reach; empty denies all.
    pub network: Vec<String>,
    /// Absolute paths outside the work directory that file tools may reach.
    pub allow_paths: Vec<String>,
}

impl Default for SandboxSpec {
    fn default() -> Self {
        Self { level: "strict".into(), network: Vec::new(), allow_paths: Vec::new() }
    }
}

/// A kind of agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub id: TemplateId,
    /// What the model is told first.
    pub system_prompt: String,
    /// What it may call.
    #[serde(default)]
    pub tools: ToolSet,
    /// Its model; the runtime's default, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether reasoning is told on the progress channel.
    #[serde(default)]
    pub expose_thinking: bool,
    /// Who may call what.
    #[serde(default)]
    pub permission: Permission,
    /// Reminders.
    #[serde(default)]
    pub todo: TodoConfig,
    /// Bounds of a turn.
    #[serde(default)]
    pub limits: Limits,
    /// What the kernel must enforce.
    #[serde(default)]
    pub sandbox: SandboxSpec,
}

impl Template {
    /// A template with every default.
    #[must_use]
    pub fn new(id: &str, system_prompt: impl Into<String>) -> Self {
        Self {
            id: TemplateId::new(id),
            system_prompt: system_prompt.into(),
            tools: ToolSet::default(),
            model: None,
            expose_thinking: false,
            permission: Permission::default(),
            todo: TodoConfig::default(),
            limits: Limits::default(),
            sandbox: SandboxSpec::default(),
        }
    }

    /// The same with these tools.
    #[must_use]
    pub fn with_tools<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.tools = ToolSet::These(names.into_iter().map(Into::into).collect());
        self
    }

    /// A short hash of everything in the template (FNV-1a over its JSON), to see in a journal which one was
    /// in force.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let json = serde_json::to_vec(self).expect("a template has string keys only");
        format!("{:016x}", crate::machine::fnv1a(&json))
    }
}
