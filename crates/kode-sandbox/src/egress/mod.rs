//! The way out: a proxy that lets a command's processes reach the hosts that their template allows.
//!
//! The processes are in a network of their own that has nothing but loopback, with a listening socket in it that the
//! server holds. They are told of it by [`ENVIRONMENT`], ask the proxy for a host by name, and get bytes from it.
//! A process that does not ask has no network.
//!
//! ```text
//! accept -> head -> rules (name, port) -> resolve once -> address -> dial that address -> relay -> notice
//!                      |                       |             |           |
//!                      +------ refusal: an event for the witness, an answer that says why ------+
//! ```
//!
//! What never belongs here: processes, namespaces, the making of the listener; and any way by which a template could
//! open an address that `address` closes. What is allowed and what is not stopped: `docs/egress.md`.

mod address;
mod head;
mod host;
mod net;
mod notices;
mod refusal;
mod relay;
mod rules;
mod session;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kode_core::sandbox::Witness;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use net::{Dial, Resolve};
pub use rules::{BadRule, Rules};

use session::Session;

/// Where the listener is, in the network of the processes.
pub const ADDRESS: &str = "127.0.0.1:3128";

/// What tells processes of the proxy. Programs differ in the letter case that they read; what they say to themselves
/// over loopback stays in their own network.
pub const ENVIRONMENT: [(&str, &str); 8] = {
    const PROXY: &str = "http://127.0.0.1:3128";
    [
        ("HTTP_PROXY", PROXY),
        ("http_proxy", PROXY),
        ("HTTPS_PROXY", PROXY),
        ("https_proxy", PROXY),
        ("ALL_PROXY", PROXY),
        ("all_proxy", PROXY),
        ("NO_PROXY", "localhost,127.0.0.1,::1"),
        ("no_proxy", "localhost,127.0.0.1,::1"),
    ]
};

/// What one command may use of the network, and for how long it is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait until one ends. Each costs two descriptors and about 48 KiB at most.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// For the head of a request to arrive.
    pub head_time: Duration,
    /// For a name to be resolved.
    pub resolve_time: Duration,
    /// For one address to be connected to.
    pub connect_time: Duration,
    /// For a connection on which nothing moves.
    pub idle_time: Duration,
    /// Bytes of all connections together, both ways. Those that are open when it is reached are cut.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 16 * 1_024,
            head_time: Duration::from_secs(10),
            resolve_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(5),
            // As long as a server may think about a request before its first byte.
            idle_time: Duration::from_secs(120),
            bytes: 1 << 30,
        }
    }
}

/// The proxy of a template: its rules and limits. Each command gets its own run of [`Egress::serve_until`].
pub struct Egress {
    rules: Rules,
    limits: Limits,
    resolve: Arc<dyn Resolve>,
    dial: Arc<dyn Dial>,
}

impl Egress {
    /// A proxy over the host's own resolver and network.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            limits: Limits::default(),
            resolve: Arc::new(net::SystemResolver::new()),
            dial: Arc::new(net::Tcp),
        }
    }

    /// The same with these limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same over another resolver and network. Addresses are judged between the two as ever.
    #[must_use]
    pub fn with_net(self, resolve: Arc<dyn Resolve>, dial: Arc<dyn Dial>) -> Self {
        Self { resolve, dial, ..self }
    }

    /// Serves one command's listener until dropped, which closes all its connections at once and in silence.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, witness: Arc<dyn Witness>) {
        self.serve_until(listener, witness, pending()).await;
    }

    /// Serves one command's listener until `stop`, then closes its connections and tells the witness the last of
    /// them. Dropping it closes all at once and in silence.
    ///
    /// The witness hears `egress {host, port, up, down, durationMs, cut?}` at the end of each connection and
    /// `egress_refused {reason, host?, port?}` for each that there was not, 64 in all, and then, at the end, one
    /// `egress_more {connections, refused, up, down}` of those beyond.
    pub async fn serve_until(
        self: Arc<Self>,
        listener: TcpListener,
        witness: Arc<dyn Witness>,
        stop: impl Future<Output = ()> + Send,
    ) {
        let session = Arc::new(Session::new(self, witness));
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            while connections.try_join_next().is_some() {}
            let next = tokio::select! {
                biased;
                () = &mut stop => break,
                next = session.next(&listener) => next,
            };
            let session = session.clone();
            connections.spawn(async move { session.attend(next).await });
        }
        drop(listener);
        session.stop();
        while connections.join_next().await.is_some() {}
        session.close().await;
    }
}
