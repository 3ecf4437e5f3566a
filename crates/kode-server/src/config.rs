//! What the host decides about the server. Plain values; nothing is read from the environment here.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Auth;
use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::trace::Tracer;

/// How the server behaves. Take [`ServerConfig::default`] and change what must differ.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Whether a built-in script answers instead of a model; told in `/api/metrics`.
    pub demo: bool,
    /// How long a stream is silent before a comment keeps its line open.
    pub heartbeat: Duration,
    /// How long a peer may leave what is written to it unread before it is cut off.
    pub stalled_reader: Duration,
    /// How long a peer may take for the head of a request.
    pub header_timeout: Duration,
    /// How long a peer may take for the body of a request.
    pub body_timeout: Duration,
    /// How long requests may go on after the shutdown began. Streams end with its begin.
    pub drain: Duration,
    /// Most bytes of a request's body.
    pub body_limit: usize,
    /// Most connections at once; those beyond wait to be accepted.
    pub max_connections: usize,
    /// Origins whose pages may call, such as `https://app.example.org`; those on a loopback host always may.
    pub cors_origins: Vec<String>,
    /// Who may call.
    pub auth: Auth,
    /// How to reach the other nodes of the store; none where there are none.
    pub cluster: Option<Cluster>,
    /// What is counted; hand the same to the ports of the runtime, or `/metrics` tells of requests only.
    pub metrics: Arc<Metrics>,
    /// Who writes down traces of requests, if anybody does.
    pub tracer: Option<Arc<dyn Tracer>>,
}

impl Default for ServerConfig {
    /// Comments every 15 s, bodies up to 1 MiB, 10,000 connections, pages of loopback origins only, nobody is asked.
    fn default() -> Self {
        Self {
            demo: false,
            heartbeat: Duration::from_secs(15),
            stalled_reader: Duration::from_secs(30),
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            body_limit: 1 << 20,
            max_connections: 10_000,
            cors_origins: Vec::new(),
            auth: Auth::open(),
            cluster: None,
            metrics: Metrics::new(),
            tracer: None,
        }
    }
}
