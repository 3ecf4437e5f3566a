//! A GLM emulator: the chat-completions API over real HTTP on loopback, scripted by the test.
//!
//! It answers streaming and whole, holds a stream between two chunks for as long as the test wants, fails
//! in all the ways that the API was seen to fail, records every request and how its answer ended (so a
//! cancelled call is proven from the model's side), and refuses requests that no model may ever see.
//! The vendors' own clients accept it: see `fixtures/clients/check_clients.py`.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use kode_testkit::glm_emulator::{GlmEmulator, Reply};
//!
//! let glm = GlmEmulator::start().await?;
//! glm.push(Reply::text("hello").thinking("a greeting"));
//! assert!(glm.base_url().ends_with("/api/paas/v4"));
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! What never belongs here: a judgement of the client beyond the wire, and anything random.

mod check;
mod http;
mod record;
mod reply;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::check::violations;
pub use self::record::{Outcome, Request};
pub use self::reply::{FragmentStyle, Gate, Reply};

use self::record::Shared;

/// A running emulator. It ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct GlmEmulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl GlmEmulator {
    /// Starts one on a free port of loopback. It refuses requests that break a rule (see [`violations`]).
    ///
    /// # Errors
    /// The port could not be bound.
    pub async fn start() -> io::Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0").await?)
    }

    /// Starts one on a listener.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn on(listener: TcpListener) -> io::Result<Self> {
        let (address, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for a client.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/api/paas/v4", self.address)
    }

    /// Adds an answer to the queue; each request takes one.
    pub fn push(&self, reply: Reply) {
        self.shared.push(reply);
    }

    /// Answers every request for which the queue is empty. Without it such a request gets status 400.
    pub fn respond(&self, responder: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.shared.respond(Arc::new(responder));
    }

    /// Answers also requests that break a rule; they are still listed in [`GlmEmulator::violations`].
    pub fn tolerate_violations(&self) {
        self.shared.tolerate();
    }

    /// All requests so far, in the order of their arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.requests()
    }

    /// The `n`-th request, from 0; waits until it is there. Cancel safe.
    pub async fn request(&self, n: usize) -> Arc<Request> {
        self.shared.request(n).await
    }

    /// How the answer to the `n`-th request ended, from 0; waits until it has. Cancel safe.
    pub async fn outcome(&self, n: usize) -> Outcome {
        self.shared.outcome(n).await
    }

    /// Every rule that a request broke, in words. A test ends well with none.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations()
    }

    /// How many connections were made: fewer than requests where the client uses them again.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }
}

impl Drop for GlmEmulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
