//! Settings: flags win over environment, environment over `kode.toml`, that over defaults.

mod file;
mod nearest;
mod prices;
mod store_url;

pub(crate) use self::nearest::nearest;
pub(crate) use self::store_url::StoreUrl;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kode_core::price::Prices;
use kode_core::secrets::Secrets;
use kode_core::template::Template;

use crate::args::{Places, Serve};
use crate::config::file::ConfigFile;
use crate::failure::Failure;
use crate::templates;

/// Where the GLM key is looked for, the first found wins. `…_FILE` names a file that holds it.
pub(crate) const KEY_NAMES: [&str; 3] = ["ZHIPUAI_API_KEY", "ZAI_API_KEY", "GLM_API_KEY"];

/// Other settings that are secret.
const SECRET_NAMES: [&str; 3] = ["KODE_JWT_SECRET", "KODE_CLUSTER_SECRET", "KODE_API_KEY"];

/// Where keys for a collector are.
const OTLP_HEADERS: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"];

/// How long a node owns an agent without renewing, unless it is said, and what may be said.
const LEASE_MS: u64 = 10_000;
const LEASE_BOUNDS: std::ops::RangeInclusive<u64> = 200..=600_000;

/// How the environment is read: a value, so that tests bring their own.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment; empty values count as none.
pub(crate) fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What every command that touches agents needs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) store: StoreUrl,
    pub(crate) workspace: PathBuf,
    pub(crate) glm_base_url: Option<String>,
    pub(crate) model: String,
    pub(crate) max_agents: usize,
    /// How long an agent is idle before it is put away.
    pub(crate) idle: Option<Duration>,
    pub(crate) retention_secs: Option<u64>,
    pub(crate) json_logs: bool,
    pub(crate) default_template: String,
    pub(crate) templates: Vec<Template>,
    pub(crate) api_keys_file: Option<PathBuf>,
    pub(crate) jwt_audience: Option<String>,
    pub(crate) cors_origins: Vec<String>,
    /// Where `/metrics` alone is told, to everybody.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Whether traces name agents by their ids.
    pub(crate) otel_agent_ids: bool,
    /// This node's name among those of its store; generated if absent.
    pub(crate) node_id: Option<String>,
    /// Where those reach it.
    pub(crate) node_url: Option<String>,
    /// How long a node owns an agent without renewing.
    pub(crate) lease_ms: u64,
    /// What models cost.
    pub(crate) prices: Prices,
    /// Values that must not come to agents.
    pub(crate) secrets: Secrets,
    listen: String,
}

impl Settings {
    /// Puts flags, environment, file and defaults together.
    pub(crate) fn resolve(listen: Option<&str>, places: &Places, env: Env<'_>) -> Result<Self, Failure> {
        let file = file::load(places.config.as_deref())?;
        let pick = |flag: Option<&str>, name: &str, filed: Option<String>, default: &str| {
            flag.map(str::to_owned).or_else(|| env(name)).or(filed).unwrap_or_else(|| default.to_owned())
        };
        let workspace = places.workspace.clone().or_else(|| env("KODE_WORKSPACE").map(PathBuf::from));
        let max_agents = match env("KODE_MAX_AGENTS") {
            Some(text) => text.parse().map_err(|_| Failure::usage("KODE_MAX_AGENTS is a whole number"))?,
            None => file.max_agents.unwrap_or(1_000),
        };
        let idle_secs = match env("KODE_IDLE_SECS") {
            Some(text) => {
                text.parse().map_err(|_| Failure::usage("KODE_IDLE_SECS is a whole number; 0 is never"))?
            }
            None => file.idle_secs.unwrap_or(1_800),
        };
        let retention_secs = match env("KODE_RETENTION_SECS") {
            Some(text) => {
                Some(text.parse().map_err(|_| Failure::usage("KODE_RETENTION_SECS is a whole number"))?)
            }
            None => file.retention_secs,
        };
        let lease_ms = match env("KODE_LEASE_MS") {
            Some(text) => text.parse().ok(),
            None => Some(file.lease_ms.unwrap_or(LEASE_MS)),
        };
        let lease_ms = lease_ms.filter(|ms| LEASE_BOUNDS.contains(ms)).ok_or_else(|| {
            let (least, most) = (LEASE_BOUNDS.start(), LEASE_BOUNDS.end());
            Failure::usage(format!("KODE_LEASE_MS is a whole number of milliseconds, {least} to {most}"))
        })?;
        let json_logs = match pick(None, "KODE_LOG_FORMAT", file.log_format.clone(), "text").as_str() {
            "text" => false,
            "json" => true,
            _ => return Err(Failure::usage("KODE_LOG_FORMAT is text or json")),
        };
        Ok(Self {
            store: StoreUrl::parse(&pick(
                places.store.as_deref(),
                "KODE_STORE",
                file.store.clone(),
                "fs:./.kode",
            ))?,
            workspace: workspace.or(file.workspace.clone()).unwrap_or_else(|| "./workspace".into()),
            glm_base_url: env("KODE_GLM_BASE_URL").or(file.glm_base_url.clone()),
            model: pick(None, "KODE_MODEL", file.model.clone(), "glm-4.5-air"),
            max_agents,
            idle: (idle_secs > 0).then(|| Duration::from_secs(idle_secs)),
            retention_secs,
            json_logs,
            default_template: file.default_template.clone().unwrap_or_else(|| templates::DEFAULT.into()),
            api_keys_file: env("KODE_API_KEYS_FILE").map(PathBuf::from).or(file.api_keys_file.clone()),
            jwt_audience: env("KODE_JWT_AUDIENCE").or(file.jwt_audience.clone()),
            metrics_listen: env("KODE_METRICS_LISTEN")
                .or(file.metrics_listen.clone())
                .map(|text| address(&text))
                .transpose()?,
            node_id: env("KODE_NODE_ID").or(file.node_id.clone()),
            node_url: env("KODE_NODE_URL").or(file.node_url.clone()),
            lease_ms,
            cors_origins: origins(env("KODE_CORS_ORIGINS"), &file),
            otel_agent_ids: switch("KODE_OTEL_AGENT_IDS", env)?.or(file.otel_agent_ids).unwrap_or(false),
            prices: prices::prices(&file.prices)?,
            secrets: secrets(env, &file),
            listen: pick(listen, "KODE_LISTEN", file.listen.clone(), "127.0.0.1:3000"),
            templates: merged(file)?,
        })
    }

    /// Where to listen. An address that others can reach is refused while nobody is asked who they are.
    pub(crate) fn listen(&self, serve: &Serve, asks: bool) -> Result<SocketAddr, Failure> {
        let address = address(&self.listen)?;
        if !address.ip().is_loopback() && !asks && !serve.insecure {
            return Err(Failure::usage(format!(
                "refusing to listen on {address}: others can reach it, and no authentication is configured; \
                 set KODE_API_KEYS_FILE or KODE_JWT_SECRET, listen on 127.0.0.1, or say --insecure if something in front of kode asks who they are"
            )));
        }
        Ok(address)
    }
}

/// What is on or off.
fn switch(name: &str, env: Env<'_>) -> Result<Option<bool>, Failure> {
    let parse = |text: String| text.parse().map_err(|_| Failure::usage(format!("{name} is true or false")));
    env(name).map(parse).transpose()
}

fn address(text: &str) -> Result<SocketAddr, Failure> {
    let wrong =
        || Failure::usage(format!("cannot listen on {text:?}: it is not an address such as 127.0.0.1:3000"));
    text.replacen("localhost:", "127.0.0.1:", 1).parse().map_err(|_| wrong())
}

/// Origins whose pages may call: a comma list in the environment.
fn origins(env: Option<String>, file: &ConfigFile) -> Vec<String> {
    let listed = |list: String| list.split(',').map(|origin| origin.trim().to_owned()).collect();
    let origins: Vec<String> = env.map_or_else(|| file.cors_origins.clone(), listed);
    // As browsers say it.
    origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).filter(|o| !o.is_empty()).collect()
}

/// The GLM key, from the environment or from a file that it names; never from flags.
pub(crate) fn glm_key(env: Env<'_>) -> Result<Option<String>, Failure> {
    KEY_NAMES.iter().find_map(|name| secret(name, env).transpose()).transpose()
}

/// All secrets that this process can find: those that it is told, and passwords within URLs. One that cannot be read
/// is named where it is needed.
fn secrets(env: Env<'_>, file: &ConfigFile) -> Secrets {
    let named = KEY_NAMES.into_iter().chain(SECRET_NAMES).filter_map(|name| secret(name, env).ok().flatten());
    let urls = [
        env("KODE_STORE").or(file.store.clone()),
        env("KODE_GLM_BASE_URL").or(file.glm_base_url.clone()),
        env("OTEL_EXPORTER_OTLP_ENDPOINT"),
        env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    ];
    let headers = OTLP_HEADERS.into_iter().filter_map(env);
    let shown = headers.flat_map(|list| header_secrets(&list));
    let within = urls.iter().flatten().filter_map(|url| password(url)).map(str::to_owned);
    Secrets::new(named.chain(within).chain(shown).collect::<Vec<_>>())
}

/// The values of a list of headers, and of each what stands behind its scheme.
fn header_secrets(list: &str) -> Vec<String> {
    let values = list.split(',').filter_map(|pair| Some(pair.split_once('=')?.1.trim()));
    values
        .flat_map(|value| [Some(value), value.split_once([' ', '+']).map(|(_, token)| token)])
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// What stands between the user's name and the host of a URL.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(_, password)| password)).filter(|password| !password.is_empty())
}

/// A secret of the environment, or of the file that `NAME_FILE` names; never of a flag.
pub(crate) fn secret(name: &str, env: Env<'_>) -> Result<Option<String>, Failure> {
    let file = format!("{name}_FILE");
    match (env(name), env(&file)) {
        (Some(secret), _) => Ok(Some(secret)),
        (None, Some(path)) => {
            let read = std::fs::read_to_string(&path);
            let secret =
                read.map_err(|e| Failure::usage(format!("{file} names a file that cannot be read: {e}")))?;
            Ok(Some(secret.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// The built-in templates, replaced and joined by the file's.
fn merged(file: ConfigFile) -> Result<Vec<Template>, Failure> {
    let mut templates = templates::builtin();
    for own in file.templates {
        match templates.iter_mut().find(|t| t.id == own.id) {
            Some(builtin) => *builtin = own,
            None => templates.push(own),
        }
    }
    match file.default_template {
        Some(id) if !templates.iter().any(|t| t.id.as_str() == id) => {
            Err(Failure::usage(format!("default_template {id} is not a template; add it or name another")))
        }
        _ => Ok(templates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places { config: Some("/dev/null".into()), ..Places::default() }
    }

    #[test]
    fn flags_win_over_environment_and_that_over_defaults() {
        let env = |name: &str| (name == "KODE_LISTEN").then(|| "127.0.0.1:4000".to_owned());
        let serve = Serve::default();
        let from = |listen: Option<&str>, env: Env<'_>| {
            Settings::resolve(listen, &places(), env).unwrap().listen(&serve, false).unwrap().port()
        };
        assert_eq!(from(Some("127.0.0.1:5000"), &env), 5000);
        assert_eq!(from(None, &env), 4000);
        assert_eq!(from(None, &|_| None), 3000);
    }

    #[test]
    fn secrets_are_found_in_the_environment_in_files_and_in_urls() {
        let env = |name: &str| match name {
            "KODE_JWT_SECRET" => Some("the-secret-of-tokens".to_owned()),
            "KODE_STORE" => Some("postgres://kode:p%40ss-of-the-store@db/kode".to_owned()),
            "KODE_GLM_BASE_URL" => Some("https://token-of-the-proxy@glm.example/v4".to_owned()),
            _ => None,
        };
        let found = secrets(&env, &ConfigFile::default());
        let told =
            found.scrub("the-secret-of-tokens p%40ss-of-the-store token-of-the-proxy kode@db").into_owned();
        assert_eq!(told, "[redacted] [redacted] [redacted] kode@db");
        assert_eq!(password("https://glm.example/a@b"), None);
    }

    #[test]
    fn a_public_address_needs_a_word() {
        let settings = Settings::resolve(Some("0.0.0.0:3000"), &places(), &|_| None).unwrap();
        assert!(matches!(settings.listen(&Serve::default(), false), Err(Failure::Usage(_))));
        assert!(settings.listen(&Serve { insecure: true, ..Serve::default() }, false).is_ok());
        assert!(settings.listen(&Serve::default(), true).is_ok());
    }
}
