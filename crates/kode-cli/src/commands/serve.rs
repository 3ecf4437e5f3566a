//! `kode serve`: the HTTP server over a pool, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kode_core::store::Store;
use kode_pool::{Pool, PoolOptions};
use kode_server::{Metrics, ServerConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::args::Serve;
use crate::compose::{self, Telemetry};
use crate::config::{Settings, process_env};
use crate::failure::Failure;
use crate::membership::{Joined, Membership};
use crate::{descriptors, log, panics};

/// How long runs may go on after the server is told to stop. What is not done by then goes on at the next
/// start.
const GRACE: Duration = Duration::from_secs(10);

/// What the process ends with when it was told to stop twice: as one that Ctrl-C ended.
const TOLD_TWICE: i32 = 130;

/// How long the last traces may take to a collector, when all else is done.
const FLUSH: Duration = Duration::from_secs(3);

pub(crate) fn run(serve: Serve) -> Result<(), Failure> {
    let settings = Settings::resolve(serve.listen.as_deref(), &serve.places, &process_env)?;
    log::always(settings.json_logs);
    panics::to_the_log(settings.secrets.clone());
    let access = Access::resolve(&settings, &process_env)?;
    let address = settings.listen(&serve, access.auth.asks())?;
    let membership = Membership::resolve(&settings, &process_env)?;
    let model = compose::model(&settings, serve.demo, &process_env)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let (metrics, telemetry) = (Metrics::new(), Telemetry::start(&settings, &process_env)?);
        let builder = compose::runtime_in(
            &settings,
            access.auth.store(
                telemetry.store(metrics.store(counting(compose::store(&settings.store).await?, &access)?)),
            ),
            metrics.model(telemetry.model(model)),
            metrics.sandboxes(compose::sandboxes(&settings)?),
        );
        let builder = match &membership.id {
            Some(id) => builder.holder(id, membership.lease),
            None => builder.lease(membership.lease),
        };
        let pool = Pool::new(
            builder.build().map_err(Failure::usage)?,
            PoolOptions {
                max_agents: descriptors::agents(settings.max_agents, descriptors::raise()),
                idle: settings.idle,
            },
        );
        let shared = pool.runtime().store().is_shared();
        let listener = bind(address, "--listen").await?;
        let joined = if shared { Some(membership.join(&pool, &settings.workspace).await?) } else { None };
        let told = match settings.metrics_listen {
            Some(address) => Some(bind(address, "KODE_METRICS_LISTEN").await?),
            None => None,
        };
        greet(&listener, serve.demo, access.auth.asks())?;
        let config = ServerConfig {
            demo: serve.demo,
            cors_origins: settings.cors_origins,
            auth: access.auth.clone(),
            cluster: membership.cluster().filter(|_| shared),
            metrics,
            tracer: telemetry.tracer(),
            ..ServerConfig::default()
        };
        let stopping = until_told((listener, told), pool, joined, config, access).await;
        telemetry.shutdown(FLUSH).await;
        stopping
    })
}

/// A limit that cannot be kept to is refused before anybody relies on it.
fn counting(store: Arc<dyn Store>, access: &Access) -> Result<Arc<dyn Store>, Failure> {
    if access.auth.counts_tokens() && store.counters().is_none() {
        let kind = store.kind();
        return Err(Failure::usage(format!(
            "a key has limits.tokens_per_day, and a {kind} store keeps no counts in this version; leave the limit out, or take fs:DIR"
        )));
    }
    Ok(store)
}

async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|e| {
        Failure::failed(format!("cannot listen on {address}: {e}; choose another with {setting}"))
    })
}

/// Serves, takes up what the last server left unfinished, and ends in order: the door stays open until the agents are put
/// away.
async fn until_told(
    (listener, metrics): (TcpListener, Option<TcpListener>),
    pool: Pool,
    joined: Option<Joined>,
    config: ServerConfig,
    access: Access,
) -> Result<(), Failure> {
    let (stop, close) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(stop_on_signal(stop.clone())?);
    tokio::spawn(access.watch(close.clone()));
    if let Some(listener) = metrics {
        let (pool, metrics, close) = (pool.clone(), config.metrics.clone(), close.clone());
        tokio::spawn(async move {
            if let Err(error) = kode_server::serve_metrics(listener, pool, metrics, close).await {
                tracing::error!(%error, "metrics are no longer told");
            }
        });
    }
    tokio::spawn(prepare(pool.clone()));
    let joined = joined.map(Arc::new);
    tokio::spawn(go_on(pool.clone(), joined.clone()));
    let serving = async {
        let served = kode_server::serve(listener, pool.clone(), config, close.clone()).await;
        stop.cancel();
        served
    };
    let draining = async {
        stop.cancelled().await;
        pool.shutdown(GRACE).await;
        close.cancel();
    };
    let (served, ()) = tokio::join!(serving, draining);
    if let Some(joined) = joined {
        joined.leave();
    }
    served.map_err(|e| Failure::failed(format!("the server failed: {e}")))
}

/// Tries the walls out while nobody waits for it.
async fn prepare(pool: Pool) {
    pool.runtime().prepare().await;
}

/// Goes on with unfinished agents: a node among others as long as it lives, one that has its store alone at its start.
async fn go_on(pool: Pool, joined: Option<Arc<Joined>>) {
    if let Some(joined) = joined {
        return joined.keep(&pool).await;
    }
    match pool.resume_unfinished().await {
        Ok(count) => tracing::info!(agents = count, "unfinished agents go on"),
        Err(error) => tracing::warn!(%error, "unfinished agents could not be looked up"),
    }
}

fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    Ok(async move {
        let mut told = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        told().await;
        tracing::info!("stopping: no new work is taken, and what runs has {GRACE:?} to end");
        stop.cancel();
        told().await;
        tracing::warn!("told to stop again: what still runs is left as it is, and goes on at the next start");
        std::process::exit(TOLD_TWICE);
    })
}

/// Says where the server is, and in a demo that it is one.
fn greet(listener: &TcpListener, demo: bool, asks: bool) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(Failure::failed)?;
    eprintln!("kode: listening on http://{address}");
    if demo {
        eprintln!(
            "kode: demo: a built-in script answers, no model is asked; set ZHIPUAI_API_KEY and drop --demo for GLM"
        );
    }
    if demo && !asks {
        eprintln!(
            "kode: try: curl -N -H 'content-type: application/json' -H 'accept: text/event-stream' \
             -d '{{\"text\":\"hello\"}}' http://{address}/api/agents/user:1/messages"
        );
    }
    Ok(())
}
