//! The composition root: the only file that names stores, providers, sandboxes and tools.

mod telemetry;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kode_core::id::TemplateId;
use kode_core::model::Model;
use kode_core::runtime::{Runtime, RuntimeBuilder};
use kode_core::sandbox::SandboxFactory;
use kode_core::store::{Store, StoreError};
/// The one parser of event streams, for the command's own as well.
pub(crate) use kode_provider_glm::sse::{Frame, Sse};
use kode_provider_glm::{DEFAULT_BASE_URL, Glm, GlmConfig, GlmKey};
use kode_sandbox::{Layer, LocalSandbox};
pub(crate) use kode_store_fs::{Fit, FsStore, Repair, Report};
pub(crate) use kode_store_postgres::{PgStore, Report as RowReport, Versions};
use kode_store_redis::RedisStore;
pub(crate) use kode_store_redis::RedisUrl;

pub(crate) use self::telemetry::Telemetry;
use crate::config::{Env, KEY_NAMES, Settings, StoreUrl, glm_key};
use crate::demo::DemoModel;
use crate::failure::Failure;

/// The store for a command that writes. It is used in the runtime that it was opened in.
pub(crate) async fn store(url: &StoreUrl) -> Result<Arc<dyn Store>, Failure> {
    Ok(match url {
        StoreUrl::Fs(dir) => Arc::new(files(dir, true)?),
        StoreUrl::Redis(address) => Arc::new(redis(address).await?),
        StoreUrl::Postgres(address) => Arc::new(PgStore::open(address).await.map_err(unopened(url))?),
    })
}

/// A redis store, also for a command that looks after it.
pub(crate) async fn redis(url: &RedisUrl) -> Result<RedisStore, Failure> {
    RedisStore::open(url).await.map_err(|e| Failure::failed(format!("the store {url} cannot be opened: {e}")))
}

/// The store for a command that writes to what is there, and makes none.
pub(crate) async fn existing_store(url: &StoreUrl) -> Result<Arc<dyn Store>, Failure> {
    match url {
        StoreUrl::Fs(dir) => is_there(dir)?,
        StoreUrl::Redis(_) => {}
        StoreUrl::Postgres(address) => return Ok(Arc::new(database(url, address).await?)),
    }
    store(url).await
}

/// Whether there is a store yet. One that cannot be reached is an error.
pub(crate) async fn is_made(url: &StoreUrl) -> Result<bool, Failure> {
    match url {
        StoreUrl::Fs(dir) => Ok(dir.exists()),
        StoreUrl::Redis(_) => Ok(true),
        StoreUrl::Postgres(address) => Ok(versions(url, address).await?.database > 0),
    }
}

/// The versions of a database's tables and of this program's.
pub(crate) async fn versions(url: &StoreUrl, address: &str) -> Result<Versions, Failure> {
    PgStore::versions_at(address).await.map_err(unopened(url))
}

/// A store of a database, for a command that makes none.
pub(crate) async fn database(url: &StoreUrl, address: &str) -> Result<PgStore, Failure> {
    PgStore::open_existing(address).await.map_err(unopened(url))
}

fn unopened(url: &StoreUrl) -> impl Fn(StoreError) -> Failure + '_ {
    move |error| Failure::failed(format!("the store {url} cannot be opened: {error}"))
}

fn is_there(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "there is no store at {}; name another with --store fs:DIR, or make one with `kode serve` or `kode chat`",
        dir.display()
    )))
}

/// The store for a command that only reads, also while a server has it.
pub(crate) async fn store_to_read(url: &StoreUrl) -> Result<Arc<dyn Store>, Failure> {
    match url {
        StoreUrl::Fs(dir) => {
            is_there(dir)?;
            let unread = |e| Failure::failed(format!("the store {url} cannot be read: {e}"));
            Ok(Arc::new(FsStore::open_read_only(dir).map_err(unread)?))
        }
        StoreUrl::Redis(_) => store(url).await,
        StoreUrl::Postgres(address) => Ok(Arc::new(database(url, address).await?)),
    }
}

/// A store of files, for a command that looks after it. `write`: whether it changes anything.
pub(crate) fn files(dir: &Path, write: bool) -> Result<FsStore, Failure> {
    let store = if write { FsStore::open(dir) } else { FsStore::open_read_only(dir) };
    store.map_err(|e| Failure::failed(format!("the store {} cannot be opened: {e}", dir.display())))
}

/// The model: GLM with a key, the script with `--demo`, and a way on without either.
pub(crate) fn model(settings: &Settings, demo: bool, env: Env<'_>) -> Result<Arc<dyn Model>, Failure> {
    if demo {
        return Ok(Arc::new(DemoModel));
    }
    let Some(key) = glm_key(env)? else {
        return Err(Failure::usage(format!(
            "no model key: set {} (or {}_FILE to a file that holds it) and start again, or say --demo, which needs none",
            KEY_NAMES[0], KEY_NAMES[0]
        )));
    };
    let mut config = GlmConfig::new(GlmKey::new(&key).map_err(Failure::usage)?);
    if let Some(base) = &settings.glm_base_url {
        config.base_url.clone_from(base);
    }
    Ok(Arc::new(Glm::new(config).map_err(Failure::usage)?))
}

/// Is the sandbox's helper, if that is what this process was started as. The program's first act.
pub(crate) fn be_helper_if_called() {
    kode_sandbox::helper::enter();
}

/// The work directories; their parent is made if need be.
pub(crate) fn sandboxes(settings: &Settings) -> Result<Arc<dyn SandboxFactory>, Failure> {
    let sandbox = sandbox(settings, &[])?;
    Ok(Arc::new(match settings.store {
        StoreUrl::Fs(_) => sandbox,
        // A lease has at least two thirds of its time left while its owner can renew it: what an owner that is stopped was
        // running is over before another node takes it for lost.
        StoreUrl::Redis(_) | StoreUrl::Postgres(_) => {
            sandbox.ending_after_silence(Duration::from_millis(settings.lease_ms / 2))
        }
    }))
}

/// The same, without some layers of its processes.
pub(crate) fn sandbox(settings: &Settings, without: &[String]) -> Result<LocalSandbox, Failure> {
    let layers: Result<Vec<Layer>, Failure> = without.iter().map(|name| layer(name)).collect();
    let workspace = LocalSandbox::new(&settings.workspace).map_err(|e| {
        Failure::failed(format!("the workspace {} cannot be used: {e}", settings.workspace.display()))
    })?;
    Ok(workspace.without(layers?))
}

fn layer(name: &str) -> Result<Layer, Failure> {
    let names: Vec<&str> = Layer::ALL.iter().map(|layer| layer.name()).collect();
    let unknown = || Failure::usage(format!("{name:?} is not a layer; use one of {}", names.join(", ")));
    Layer::named(name).ok_or_else(unknown)
}

/// Where the model is asked, if the configured base has a host.
pub(crate) fn model_host(settings: &Settings) -> Option<(String, u16)> {
    let base = settings.glm_base_url.as_deref().unwrap_or(DEFAULT_BASE_URL);
    let url = http::Uri::try_from(base).ok()?;
    let usual = if url.scheme_str() == Some("http") { 80 } else { 443 };
    Some((url.host()?.to_owned(), url.port_u16().unwrap_or(usual)))
}

/// A runtime's builder with the built-in tools and the configured templates.
pub(crate) fn runtime(
    settings: &Settings,
    store: Arc<dyn Store>,
    model: Arc<dyn Model>,
) -> Result<RuntimeBuilder, Failure> {
    Ok(runtime_in(settings, store, model, sandboxes(settings)?))
}

/// The same with work directories of the caller's.
pub(crate) fn runtime_in(
    settings: &Settings,
    store: Arc<dyn Store>,
    model: Arc<dyn Model>,
    sandboxes: Arc<dyn SandboxFactory>,
) -> RuntimeBuilder {
    let builder = Runtime::builder(store, model, sandboxes)
        .tools(kode_tools::builtin())
        .secrets(settings.secrets.clone())
        .prices(settings.prices.clone())
        .default_model(&settings.model)
        .default_template(TemplateId::new(settings.default_template.as_str()));
    let builder = match settings.retention_secs {
        Some(secs) => builder.retention(secs.saturating_mul(1_000)),
        None => builder,
    };
    settings.templates.iter().cloned().fold(builder, RuntimeBuilder::template)
}
