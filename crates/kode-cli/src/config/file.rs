//! `kode.toml`: the environment's names in lower case without the prefix, and templates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kode_core::template::{PermissionMode, Template};
use serde::Deserialize;
use toml::{Table, Value};

use super::nearest::nearest;
use super::prices::{self, Priced};
use crate::failure::Failure;

/// The keys of the file.
const TOP: [&str; 20] = [
    "listen",
    "store",
    "workspace",
    "glm_base_url",
    "model",
    "max_agents",
    "idle_secs",
    "retention_secs",
    "log_format",
    "default_template",
    "api_keys_file",
    "jwt_audience",
    "cors_origins",
    "metrics_listen",
    "otel_agent_ids",
    "node_id",
    "node_url",
    "lease_ms",
    "prices",
    "template",
];
const TEMPLATE: [&str; 12] = [
    "id",
    "system_prompt",
    "system_prompt_file",
    "tools",
    "model",
    "expose_thinking",
    "permission",
    "language",
    "todo",
    "context",
    "limits",
    "sandbox",
];
/// The tables within a template.
const INNER: [(&str, &[&str]); 5] = [
    ("permission", &["mode", "require_approval", "allow", "deny", "expire_secs"]),
    ("todo", &["enabled", "remind_every_steps", "remind_on_start"]),
    ("context", &["window", "threshold"]),
    (
        "limits",
        &[
            "max_steps",
            "turn_secs",
            "tool_timeout_secs",
            "parallel_tools",
            "max_tokens",
            "hook_timeout_secs",
            "job_secs",
        ],
    ),
    ("sandbox", &["level", "network", "allow_paths", "memory_mib", "processes", "disk_mib"]),
];

/// What a file says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) listen: Option<String>,
    pub(crate) store: Option<String>,
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) glm_base_url: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) max_agents: Option<usize>,
    pub(crate) idle_secs: Option<u64>,
    pub(crate) retention_secs: Option<u64>,
    pub(crate) log_format: Option<String>,
    pub(crate) default_template: Option<String>,
    pub(crate) api_keys_file: Option<PathBuf>,
    pub(crate) jwt_audience: Option<String>,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) metrics_listen: Option<String>,
    pub(crate) otel_agent_ids: Option<bool>,
    pub(crate) node_id: Option<String>,
    pub(crate) node_url: Option<String>,
    pub(crate) lease_ms: Option<u64>,
    /// By model.
    pub(crate) prices: BTreeMap<String, Priced>,
    #[serde(rename = "template")]
    pub(crate) templates: Vec<Template>,
}

/// Reads the named file, or `kode.toml` if it is there.
pub(crate) fn load(named: Option<&Path>) -> Result<ConfigFile, Failure> {
    let path = named.unwrap_or(Path::new("kode.toml"));
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path.parent().unwrap_or(Path::new("."))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(ConfigFile::default())
        }
        Err(error) => {
            Err(Failure::usage(format!("the configuration {} cannot be read: {error}", path.display())))
        }
    }
}

/// Reads a file's text. Prompts in files of their own are found beside it.
fn parse(text: &str, beside: &Path) -> Result<ConfigFile, Failure> {
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| {
        Failure::usage(format!("the configuration is not TOML: {}", e.message()))
    })?;
    known(&table, "", &TOP)?;
    if let Some(Value::Array(templates)) = table.get_mut("template") {
        templates.iter_mut().filter_map(Value::as_table_mut).try_for_each(|t| template(t, beside))?;
    }
    if let Some(Value::Table(models)) = table.get("prices") {
        let mut tables = models.iter().filter_map(|(model, table)| Some((model, table.as_table()?)));
        tables.try_for_each(|(model, table)| known(table, &format!("prices.{model:?}."), &prices::KEYS))?;
    }
    ConfigFile::deserialize(table)
        .map_err(|e| Failure::usage(format!("the configuration is wrong: {}", e.message())))
}

fn template(table: &mut Table, beside: &Path) -> Result<(), Failure> {
    known(table, "template.", &TEMPLATE)?;
    for (name, keys) in INNER {
        if let Some(inner) = table.get(name).and_then(Value::as_table) {
            known(inner, &format!("template.{name}."), keys)?;
        }
    }
    if let Some(mode) = table.get("permission").and_then(|p| p.get("mode")).and_then(Value::as_str) {
        known_mode(mode)?;
    }
    let Some(file) = table.remove("system_prompt_file") else { return Ok(()) };
    let Some(name) = file.as_str() else {
        return Err(Failure::usage("template.system_prompt_file is a path in quotes"));
    };
    let prompt = std::fs::read_to_string(beside.join(name))
        .map_err(|e| Failure::usage(format!("template.system_prompt_file {name} cannot be read: {e}")))?;
    if table.insert("system_prompt".into(), Value::String(prompt)).is_some() {
        return Err(Failure::usage("a template has system_prompt or system_prompt_file, not both"));
    }
    Ok(())
}

/// The command has no host that could register a policy of its own.
fn known_mode(mode: &str) -> Result<(), Failure> {
    let known = PermissionMode::BUILT_IN;
    if known.contains(&mode) {
        return Ok(());
    }
    let wrong = format!("template.permission.mode {mode:?} is not known");
    Err(Failure::usage(match nearest(mode, &known) {
        Some(near) => format!("{wrong}; did you mean {near:?}?"),
        None => format!("{wrong}; known are {}", known.join(", ")),
    }))
}

fn known(table: &Table, within: &str, keys: &[&str]) -> Result<(), Failure> {
    let Some(unknown) = table.keys().find(|key| !keys.contains(&key.as_str())) else { return Ok(()) };
    Err(Failure::usage(match nearest(unknown, keys) {
        Some(near) => {
            format!("the configuration has an unknown key {within}{unknown}; did you mean {within}{near}?")
        }
        None => {
            format!("the configuration has an unknown key {within}{unknown}; known are {}", keys.join(", "))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> String {
        match parse(text, Path::new(".")) {
            Err(Failure::Usage(why)) => why,
            other => panic!("expected a usage failure, got {other:?}"),
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        assert!(failure("lisen = \"x\"").contains("did you mean listen?"));
        let inner = "[[template]]\nid = \"a\"\nsystem_prompt = \"p\"\nlimits = { max_stesp = 3 }";
        assert!(failure(inner).contains("did you mean template.limits.max_steps?"));
    }

    #[test]
    fn a_wrong_value_is_named() {
        assert!(
            failure("max_agents = \"many\"").contains("max_agents")
                || failure("max_agents = \"many\"").contains("usize")
        );
        assert!(failure("listen = ").contains("not TOML"));
    }

    /// Never a way to run: upstream took an unknown mode for one that allows everything.
    #[test]
    fn an_unknown_permission_mode_is_refused_with_the_nearest() {
        let mode = |mode: &str| {
            format!("[[template]]\nid = \"a\"\nsystem_prompt = \"p\"\npermission = {{ mode = {mode:?} }}")
        };
        let said = "template.permission.mode \"read-only\" is not known; did you mean \"readonly\"?";
        assert_eq!(failure(&mode("read-only")), said);
        let said = "template.permission.mode \"yolo\" is not known; known are auto, approval, readonly";
        assert_eq!(failure(&mode("yolo")), said);
        for good in PermissionMode::BUILT_IN {
            assert!(parse(&mode(good), Path::new(".")).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_template_is_read_whole() {
        let text = "default_template = \"open\"\n[[template]]\nid = \"open\"\nsystem_prompt = \"hi\"\ntools = \"*\"\nlanguage = \"zh\"\n\
                    context = { window = 64000, threshold = 0.75 }\n\
                    permission = { mode = \"approval\", deny = [\"x\"] }\nlimits = { max_steps = 3 }";
        let file = parse(text, Path::new(".")).unwrap();
        let template = &file.templates[0];
        assert!(template.tools.has("anything"));
        assert_eq!((template.limits.max_steps, template.limits.parallel_tools), (3, 3));
        assert_eq!(template.permission.deny, ["x"]);
        assert_eq!((template.context.window, template.context.threshold.of(64_000)), (Some(64_000), 48_000));
        assert_eq!(template.language, Some(kode_core::template::Language::Zh));
    }
}
