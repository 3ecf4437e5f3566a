//! The accept loop: connections within bounds, and an end in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use kode_pool::Pool;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, router};
use crate::config::ServerConfig;
use crate::line::Line;
use crate::metrics::Metrics;

/// Bytes that the connection itself holds for a peer, and most of a request's head.
const BUFFER: usize = 16 * 1024;
/// Bytes that the system keeps for a peer that does not read, about half of what it really takes for them: left to
/// itself it takes megabytes, for each of however many peers.
const SENT_AHEAD: usize = 128 * 1024;
/// Bytes of these that the peer has no room for: a reader that stalls holds little, and is noticed soon.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 * 1024;
/// How long to wait after the system could not give a connection, as when descriptors run out.
const BREATH: Duration = Duration::from_millis(50);
/// Requests at once over one HTTP/2 connection.
const STREAMS_AT_ONCE: u32 = 128;

/// Serves until `shutdown` is cancelled: then no connection is accepted behind those that wait for it, streams end, and
/// requests under way have [`ServerConfig::drain`] to end. The pool is left as it is: the host calls
/// [`Pool::resume_unfinished`] at the start, and at the end [`Pool::shutdown`] and cancels when that has returned. Between
/// the two the door is open: `/readyz` says that the server drains, what runs is told to its readers to the end, and what
/// changes an agent is forwarded to the other nodes, or refused with 503 `draining` where there is none.
///
/// # Errors
/// The listener's address cannot be read: it is no listener.
pub async fn serve(
    listener: TcpListener,
    pool: Pool,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router(App::new(pool, config.clone(), shutdown.clone()));
    serve_router(listener, router, config, shutdown).await
}

/// The same for a [`router`] to which a host has added something of its own.
///
/// # Errors
/// As [`serve`].
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let places = config.max_connections.clamp(1, Semaphore::MAX_PERMITS);
    let server = Server {
        config,
        router,
        places: Arc::new(Semaphore::new(places)),
        connections: TaskTracker::new(),
        shutdown,
        cut: CancellationToken::new(),
    };
    tracing::info!(%address, "listening");
    server.accept_all(&listener).await;
    if let Err(error) = server.accept_what_waits(listener) {
        tracing::warn!(%error, "connections that waited to be accepted are cut off");
    }
    server.end().await;
    Ok(())
}

/// Serves `/metrics` alone, to everybody who can reach the listener, until `shutdown` is cancelled: for a scraper that
/// has no key, on an address of its own.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve_metrics(
    listener: TcpListener,
    pool: Pool,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "metrics are told");
    let router = crate::routes::metrics_alone(App::new(
        pool,
        ServerConfig { metrics, ..ServerConfig::default() },
        shutdown.clone(),
    ));
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

struct Server {
    config: ServerConfig,
    router: Router,
    /// How many more connections there may be.
    places: Arc<Semaphore>,
    connections: TaskTracker,
    shutdown: CancellationToken,
    /// Cancelled when connections must end as they are.
    cut: CancellationToken,
}

impl Server {
    async fn accept_all(&self, listener: &TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = accept(listener, self.places.clone()) => accepted,
            };
            match accepted {
                Ok((stream, place)) => self.connect(stream, place),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Takes those that the system has already told that they are connected: they are answered like the others.
    fn accept_what_waits(&self, listener: TcpListener) -> io::Result<()> {
        // Asked without the runtime, which may not have heard of them yet.
        let listener = listener.into_std()?;
        while let Ok(place) = self.places.clone().try_acquire_owned() {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.connect(TcpStream::from_std(stream)?, place);
                }
                Err(error) if is_the_peers(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn connect(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        if let Err(error) = adjust(&stream) {
            tracing::debug!(%error, "a connection keeps its delay and its buffers");
        }
        let line = Line::new(
            stream,
            self.config.header_timeout,
            self.config.stalled_reader,
            self.config.metrics.clone(),
        );
        let service = TowerToHyperService::new(self.router.clone());
        let builder = self.builder();
        let (shutdown, cut) = (self.shutdown.clone(), self.cut.clone());
        self.connections.spawn(async move {
            let connection = builder.serve_connection(TokioIo::new(line), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection => ended,
                        () = cut.cancelled() => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a connection broke off");
            }
            drop(place);
        });
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.config.heartbeat)
            .max_concurrent_streams(STREAMS_AT_ONCE);
        builder
    }

    async fn end(&self) {
        self.connections.close();
        if tokio::time::timeout(self.config.drain, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "cutting what did not end in time");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}

/// Frames go out at once, and a peer that does not read holds little.
fn adjust(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SENT_AHEAD)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// A connection, once there is a place for it. Cancel safe.
async fn accept(
    listener: &TcpListener,
    places: Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Whether the peer went away before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
