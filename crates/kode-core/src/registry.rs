//! Templates, tools, hooks and policies of one runtime: checked once when it is built, immutable while agents run.

mod chain;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value};

pub(crate) use self::chain::Chain;
use crate::fact::CallProblem;
use crate::hook::Hook;
use crate::id::TemplateId;
use crate::machine::{FoundCall, overhead};
use crate::model::{AskedCall, ToolSpec};
use crate::policy::Policy;
use crate::template::{PermissionMode, Template};
use crate::tool::{Tool, ToolTraits};

/// Longest tool name that models take.
const TOOL_NAME_MAX: usize = 64;

/// Why templates and tools do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two templates have one name.
    #[error("two templates are named {0}; give each its own id")]
    DuplicateTemplate(TemplateId),
    /// Two tools have one name.
    #[error("two tools are named {0}; give each its own name")]
    DuplicateTool(String),
    /// A tool's name is not one that models take.
    #[error("the tool name {0:?} is not 1 to {TOOL_NAME_MAX} of a-z A-Z 0-9 _ -")]
    BadToolName(String),
    /// A template names a tool that is not there.
    #[error(
        "the template {template} names the tool {tool}, which is not registered; register it or drop it from the template"
    )]
    UnknownTool {
        /// Whose.
        template: TemplateId,
        /// Which.
        tool: String,
    },
    /// A template's permission mode is neither a built-in one nor a registered policy.
    #[error(
        "the template {template} has the permission mode {mode:?}, which is not known; known are {known}"
    )]
    UnknownMode {
        /// Whose.
        template: TemplateId,
        /// Which.
        mode: String,
        /// All modes that there are.
        known: String,
    },
    /// Two policies have one name, or one has that of a built-in mode.
    #[error("the permission mode {0} is there already; give the policy a name of its own")]
    DuplicatePolicy(String),
    /// A hook is for a template that is not there.
    #[error("a hook is registered for the template {0}, which is not registered")]
    HookOfUnknownTemplate(TemplateId),
}

/// What the host says of its own on calls, requests and answers, in the order of registration.
#[derive(Default)]
pub struct Says {
    /// Hooks for all agents.
    pub hooks: Vec<Arc<dyn Hook>>,
    /// Hooks for the agents of one template.
    pub template_hooks: Vec<(TemplateId, Arc<dyn Hook>)>,
    /// Permission modes by name.
    pub policies: Vec<(String, Arc<dyn Policy>)>,
}

struct Registered {
    tool: Arc<dyn Tool>,
    spec: ToolSpec,
    traits: ToolTraits,
}

/// A template with the tools that it has.
pub struct Kit {
    /// The template.
    pub template: Arc<Template>,
    /// Its tools as the model is told of them, sorted by name.
    pub specs: Arc<[ToolSpec]>,
    /// What system prompt and tools take of the model's window, by estimate.
    pub overhead: u64,
    tools: BTreeMap<String, Arc<Registered>>,
    hooks: Chain,
    policy: Option<Arc<dyn Policy>>,
}

impl Kit {
    pub(crate) fn hooks(&self) -> &Chain {
        &self.hooks
    }

    pub(crate) fn policy(&self) -> Option<&Arc<dyn Policy>> {
        self.policy.as_ref()
    }

    /// A tool of this template.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name).map(|found| &found.tool)
    }

    /// Looks up and checks a call as the model wrote it. A tool whose check panics spoils only this call.
    #[must_use]
    pub fn find(&self, asked: AskedCall) -> FoundCall {
        let parsed = parse_arguments(&asked.arguments);
        let Some(found) = self.tools.get(&asked.name) else {
            let input = parsed.unwrap_or(Value::String(asked.arguments));
            return FoundCall {
                problem: Some(self.unknown(&asked.name)),
                name: asked.name,
                input,
                traits: None,
            };
        };
        let (input, problem) = match parsed {
            Ok(input) => {
                let checked = catch_unwind(AssertUnwindSafe(|| found.tool.check(&input)));
                (
                    input,
                    checked
                        .map_or_else(|_| Some(panicked(&asked.name)), |ok| ok.err().map(CallProblem::from)),
                )
            }
            Err(why) => (Value::String(asked.arguments), Some(not_json(&asked.name, &why))),
        };
        FoundCall { name: asked.name, input, traits: Some(found.traits), problem }
    }

    fn unknown(&self, name: &str) -> CallProblem {
        let known: Vec<&str> = self.tools.keys().map(String::as_str).collect();
        CallProblem {
            code: "unknown_tool".into(),
            message: format!("there is no tool {name:?}"),
            hint: Some(match known.is_empty() {
                true => "answer without tools".into(),
                false => format!("use one of: {}", known.join(", ")),
            }),
        }
    }
}

/// No arguments mean the empty object; anything else must be a JSON object.
fn parse_arguments(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("they are not an object".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn not_json(tool: &str, why: &str) -> CallProblem {
    CallProblem {
        code: "invalid_json".into(),
        message: format!("the arguments of {tool} are not a JSON object: {why}; it was not run"),
        hint: Some("write the arguments as one whole JSON object and call it again".into()),
    }
}

fn panicked(tool: &str) -> CallProblem {
    CallProblem {
        code: "tool_panicked".into(),
        message: format!("{tool} failed while it checked its arguments; it was not run"),
        hint: Some("try other arguments, or go on without it".into()),
    }
}

/// All templates and tools.
pub struct Registry {
    kits: BTreeMap<TemplateId, Arc<Kit>>,
    tools: usize,
}

impl Registry {
    /// Puts templates and tools together.
    ///
    /// # Errors
    /// What does not fit.
    pub fn new(
        templates: Vec<Template>,
        tools: Vec<Arc<dyn Tool>>,
        says: Says,
    ) -> Result<Self, RegistryError> {
        let mut known = BTreeMap::new();
        for tool in tools {
            let spec = tool.spec();
            if !is_tool_name(&spec.name) {
                return Err(RegistryError::BadToolName(spec.name));
            }
            let (name, traits) = (spec.name.clone(), tool.traits());
            if known.insert(name.clone(), Arc::new(Registered { tool, spec, traits })).is_some() {
                return Err(RegistryError::DuplicateTool(name));
            }
        }
        let policies = policies(&says)?;
        let mut kits = BTreeMap::new();
        for template in templates {
            let id = template.id.clone();
            if kits.insert(id.clone(), Arc::new(kit(template, &known, &says, &policies)?)).is_some() {
                return Err(RegistryError::DuplicateTemplate(id));
            }
        }
        match says.template_hooks.iter().find(|(id, _)| !kits.contains_key(id)) {
            Some((id, _)) => Err(RegistryError::HookOfUnknownTemplate(id.clone())),
            None => Ok(Self { kits, tools: known.len() }),
        }
    }

    /// A template with its tools.
    #[must_use]
    pub fn kit(&self, template: &TemplateId) -> Option<&Arc<Kit>> {
        self.kits.get(template)
    }

    /// All templates, by name.
    pub fn templates(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.kits.values().map(|kit| &kit.template)
    }

    /// How many tools are registered.
    #[must_use]
    pub fn tool_count(&self) -> usize {
        self.tools
    }
}

type Policies = BTreeMap<String, Arc<dyn Policy>>;

fn policies(says: &Says) -> Result<Policies, RegistryError> {
    let mut policies = Policies::new();
    for (name, policy) in &says.policies {
        let built_in = PermissionMode::BUILT_IN.contains(&name.as_str());
        if built_in || policies.insert(name.clone(), policy.clone()).is_some() {
            return Err(RegistryError::DuplicatePolicy(name.clone()));
        }
    }
    Ok(policies)
}

/// The policy that a template names; none for a built-in mode.
fn policy(template: &Template, policies: &Policies) -> Result<Option<Arc<dyn Policy>>, RegistryError> {
    let PermissionMode::Policy(name) = &template.permission.mode else { return Ok(None) };
    if let Some(policy) = policies.get(name) {
        return Ok(Some(policy.clone()));
    }
    let known: Vec<&str> =
        PermissionMode::BUILT_IN.into_iter().chain(policies.keys().map(String::as_str)).collect();
    let (template, mode) = (template.id.clone(), name.clone());
    Err(RegistryError::UnknownMode { template, mode, known: known.join(", ") })
}

fn kit(
    template: Template,
    known: &BTreeMap<String, Arc<Registered>>,
    says: &Says,
    policies: &Policies,
) -> Result<Kit, RegistryError> {
    if let crate::template::ToolSet::These(names) = &template.tools
        && let Some(tool) = names.iter().find(|name| !known.contains_key(*name))
    {
        return Err(RegistryError::UnknownTool { template: template.id.clone(), tool: tool.clone() });
    }
    let has = |(name, _): &(&String, &Arc<Registered>)| template.tools.has(name);
    let tools: BTreeMap<_, _> = known.iter().filter(has).map(|(n, t)| (n.clone(), t.clone())).collect();
    let specs: Arc<[ToolSpec]> = tools.values().map(|t| t.spec.clone()).collect();
    let overhead = overhead(&template, &specs);
    let of_template = says.template_hooks.iter().filter(|(id, _)| *id == template.id).map(|(_, hook)| hook);
    let hooks = Chain::new(tools.iter().map(|(n, t)| (n, &t.tool)), of_template.chain(&says.hooks));
    let policy = policy(&template, policies)?;
    Ok(Kit { template: Arc::new(template), specs, overhead, tools, hooks, policy })
}

fn is_tool_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=TOOL_NAME_MAX).contains(&name.len()) && name.bytes().all(allowed)
}
