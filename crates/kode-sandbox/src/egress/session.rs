//! One command's use of the proxy: each connection from its first byte to its notice.
//!
//! What never belongs here: how a host is spelled, which addresses are closed, how an answer is worded.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kode_core::sandbox::Witness;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use super::head::{self, Request};
use super::host::Host;
use super::notices::Notices;
use super::refusal::{Reason, Refusal, answer};
use super::relay::{Budget, carry};
use super::{Egress, address};

/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// How long accepting rests after it failed, which it does when the host has no descriptor left.
const REST: Duration = Duration::from_millis(100);
/// For a refused process to read its answer, and what is read of it meanwhile.
const FAREWELL: (Duration, u64) = (Duration::from_secs(1), 64 * 1_024);

/// Connections of all commands: a quarter of the descriptors that the server may have, two for each. Without this
/// bound a few commands could leave the server none.
static ALL_PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let places = usize::try_from(descriptors / 8).unwrap_or(usize::MAX);
    Semaphore::new(places.clamp(16, 4_096))
});

/// A connection, and its places in what the command and the host may have.
pub(super) struct Next {
    client: TcpStream,
    _own: OwnedSemaphorePermit,
    _shared: SemaphorePermit<'static>,
}

/// What the connections of one command share.
pub(super) struct Session {
    egress: Arc<Egress>,
    notices: Notices,
    budget: Budget,
    places: Arc<Semaphore>,
    stopped: watch::Sender<bool>,
}

impl Session {
    pub(super) fn new(egress: Arc<Egress>, witness: Arc<dyn Witness>) -> Self {
        Self {
            notices: Notices::to(witness),
            budget: Budget::of(egress.limits.bytes),
            places: Arc::new(Semaphore::new(egress.limits.connections)),
            stopped: watch::Sender::new(false),
            egress,
        }
    }

    /// The next connection, once there is a place for it; until then it waits in the kernel. Cancel safe.
    ///
    /// A place of the host's is taken only behind the accept, so a command that makes no connection takes none.
    pub(super) async fn next(&self, listener: &TcpListener) -> Next {
        let own = self.places.clone().acquire_owned().await.expect("places are never closed");
        let client = loop {
            match listener.accept().await {
                Ok((client, _)) => break client,
                Err(_) => sleep(REST).await,
            }
        };
        let shared = ALL_PLACES.acquire().await.expect("places are never closed");
        Next { client, _own: own, _shared: shared }
    }

    /// Cuts every connection.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    async fn until_stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// Tells the witness what it has not heard.
    pub(super) async fn close(&self) {
        self.notices.close().await;
    }

    /// One connection, to its end.
    pub(super) async fn attend(&self, mut next: Next) {
        let client = &mut next.client;
        let begun = tokio::select! {
            biased;
            begun = self.begin(client) => begun,
            () = self.until_stopped() => return,
        };
        match begun {
            Some(Ok((request, server))) => self.relay(next.client, request, server).await,
            Some(Err(refusal)) => {
                self.notices.refused(&refusal).await;
                let _ = timeout(FAREWELL.0, refuse(client, &refusal)).await;
            }
            None => {}
        }
    }

    /// From the first byte to a connected server. `None` where the client left without asking for anything.
    async fn begin(&self, client: &mut TcpStream) -> Option<Result<(Request, TcpStream), Refusal>> {
        let limits = &self.egress.limits;
        let request = match timeout(limits.head_time, head::read(client, limits.head_bytes)).await {
            Err(_) => return Some(Err(Refusal::untold(Reason::HeadTimeout))),
            Ok(Err(_) | Ok(None)) => return None,
            Ok(Ok(Some(Err(refusal)))) => return Some(Err(refusal)),
            Ok(Ok(Some(Ok(request)))) => request,
        };
        Some(match self.reach(&request.host, request.port).await {
            Ok(server) => Ok((request, server)),
            Err(reason) => Err(Refusal { target: Some((request.host.to_string(), request.port)), reason }),
        })
    }

    /// Connects to a host that is allowed, by addresses that were looked at.
    async fn reach(&self, host: &Host, port: u16) -> Result<TcpStream, Reason> {
        if !self.egress.rules.allow(host, port) {
            return Err(Reason::NotAllowed);
        }
        if self.budget.is_spent() {
            return Err(Reason::ByteLimit(self.budget.limit));
        }
        let addresses = self.addresses(host).await?;
        // One closed address among open ones is refused whole: no honest name leads inside and outside, and a
        // client that was to take its pick would be led astray.
        if let Some(word) = addresses.iter().find_map(|found| address::closed(*found)) {
            return Err(Reason::PrivateAddress(word));
        }
        self.dial(&addresses, port).await
    }

    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Reason> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        match timeout(self.egress.limits.resolve_time, self.egress.resolve.resolve(name)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(_) | Err(_) => Err(Reason::Unresolvable),
        }
    }

    /// Tries the addresses in turn. The name is not asked for again.
    async fn dial(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, Reason> {
        for address in addresses.iter().take(ADDRESSES) {
            let dialling = self.egress.dial.dial(SocketAddr::new(*address, port));
            if let Ok(Ok(server)) = timeout(self.egress.limits.connect_time, dialling).await {
                return Ok(server);
            }
        }
        Err(Reason::ConnectFailed)
    }

    async fn relay(&self, client: TcpStream, request: Request, server: TcpStream) {
        let Request { host, port, kind, early } = request;
        let idle = self.egress.limits.idle_time;
        let stop = self.until_stopped();
        let carried = carry(client, server, kind, early, &self.budget, idle, stop).await;
        self.notices.ended(&host.to_string(), port, &carried).await;
    }
}

/// Answers, and reads on a little: closing on unread bytes would take the answer away from who sent them.
async fn refuse(client: &mut TcpStream, refusal: &Refusal) -> std::io::Result<()> {
    client.write_all(answer(refusal).as_bytes()).await?;
    client.shutdown().await?;
    tokio::io::copy(&mut client.take(FAREWELL.1), &mut tokio::io::sink()).await.map(|_| ())
}
