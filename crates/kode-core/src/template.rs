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

/// What happens to a call that no list names: `auto`, `approval`, `readonly`, or the name of a policy that the
/// host registered. A name that nobody registered is an error when the runtime is built, and never a way to run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum PermissionMode {
    /// It runs.
    #[default]
    Auto,
    /// A call that changes something waits for a person. A tool that does not declare
    /// [`crate::tool::ToolTraits::readonly`] counts as one that changes things.
    Approval,
    /// A call that changes something is refused, that of a tool which declares nothing too.
    Readonly,
    /// A policy of the host's decides, see [`crate::policy::Policy`].
    Policy(String),
}

impl PermissionMode {
    /// The names of the modes that need no policy.
    pub const BUILT_IN: [&str; 3] = ["auto", "approval", "readonly"];

    /// Its name in configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Auto => Self::BUILT_IN[0],
            Self::Approval => Self::BUILT_IN[1],
            Self::Readonly => Self::BUILT_IN[2],
            Self::Policy(name) => name,
        }
    }
}

impl From<String> for PermissionMode {
    fn from(name: String) -> Self {
        match name.as_str() {
            "auto" => Self::Auto,
            "approval" => Self::Approval,
            "readonly" => Self::Readonly,
            _ => Self::Policy(name),
        }
    }
}

impl From<PermissionMode> for String {
    fn from(mode: PermissionMode) -> Self {
        mode.name().to_owned()
    }
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

/// When the history is condensed before the model is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextConfig {
    /// Tokens that the model takes, request and answer together; what its provider knows of it, if absent.
    /// Where neither says, the history is condensed only once the provider refuses it as too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// The part of the window past which the history is condensed.
    pub threshold: Threshold,
}

/// A part of a window: more than 0, at most 1, kept in thousandths. Written as a number such as `0.8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold(u16);

impl Threshold {
    /// So many thousandths; 1 to 1000.
    #[must_use]
    pub const fn thousandths(count: u16) -> Option<Self> {
        match count {
            1..=1_000 => Some(Self(count)),
            _ => None,
        }
    }

    /// This part of so many tokens.
    #[must_use]
    pub fn of(self, tokens: u64) -> u64 {
        tokens.saturating_mul(u64::from(self.0)) / 1_000
    }
}

impl Default for Threshold {
    /// Four fifths.
    fn default() -> Self {
        Self(800)
    }
}

impl Serialize for Threshold {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(f64::from(self.0) / 1_000.0)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let part = f64::deserialize(from)?;
        let known = (1..=1_000).find(|n| (part * 1_000.0 - f64::from(*n)).abs() < 0.5);
        known.and_then(Self::thousandths).ok_or_else(|| {
            serde::de::Error::custom(format!("threshold is a part of the window such as 0.8, not {part}"))
        })
    }
}

/// The language of what an agent is told beside its system prompt: reminders and summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// Chinese where three of ten letters are Chinese: a word of Chinese takes fewer letters than one of
    /// English.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let chinese = |c: &char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let han = text.chars().filter(chinese).count();
        if han > 0 && han * 10 >= letters * 3 { Self::Zh } else { Self::En }
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
    /// Seconds for one hook or policy to answer.
    pub hook_timeout_secs: u64,
    /// Seconds for one background job.
    pub job_secs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_steps: 50,
            turn_secs: 1_800,
            tool_timeout_secs: 120,
            parallel_tools: 3,
            max_tokens: 4_096,
            hook_timeout_secs: 30,
            job_secs: 28_800,
        }
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
    /// Absolute paths outside the work directory that its tools may reach.
    pub allow_paths: Vec<String>,
    /// MiB of memory that all processes of one command may take together.
    pub memory_mib: u64,
    /// Processes and threads that one command may have at once.
    pub processes: u32,
    /// MiB that the work directory may hold while a command runs.
    pub disk_mib: u64,
}

impl Default for SandboxSpec {
    fn default() -> Self {
        Self {
            level: "strict".into(),
            network: Vec::new(),
            allow_paths: Vec::new(),
            memory_mib: 2_048,
            processes: 256,
            disk_mib: 4_096,
        }
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
    /// The language of reminders and summaries; that of the system prompt, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Reminders.
    #[serde(default)]
    pub todo: TodoConfig,
    /// When the history is condensed.
    #[serde(default)]
    pub context: ContextConfig,
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
            language: None,
            todo: TodoConfig::default(),
            context: ContextConfig::default(),
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

    /// The language of reminders and summaries.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language.unwrap_or_else(|| Language::of(&self.system_prompt))
    }

    /// A short hash of everything in the template (FNV-1a over its JSON), to see in a journal which one was
    /// in force.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let json = serde_json::to_vec(self).expect("a template has string keys only");
        format!("{:016x}", crate::machine::fnv1a(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_part_of_the_window() {
        let read = |text: &str| serde_json::from_str::<Threshold>(text);
        assert_eq!(read("0.8").unwrap().of(128_000), 102_400);
        assert_eq!(read("1").unwrap().of(u64::MAX / 1_000), u64::MAX / 1_000);
        assert_eq!(serde_json::to_string(&Threshold::default()).unwrap(), "0.8");
        for wrong in ["0", "1.1", "-1", "80", "1e300"] {
            assert!(read(wrong).unwrap_err().to_string().contains("such as 0.8"), "{wrong}");
        }
    }

    #[test]
    fn a_templates_language_is_that_of_its_prompt_unless_it_names_one() {
        assert_eq!(Template::new("a", "你是一个助手。Use tools.").language(), Language::Zh);
        assert_eq!(Template::new("a", "Answer in the user's language, also 中文.").language(), Language::En);
        assert_eq!(Template::new("a", "").language(), Language::En);
        let named = Template { language: Some(Language::Zh), ..Template::new("a", "Be brief.") };
        assert_eq!(named.language(), Language::Zh);
    }
}
