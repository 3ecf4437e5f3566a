//! The two things that the proxy asks of the real network, each behind a trait: addresses of a name, and a
//! connection to an address.
//!
//! What never belongs here: a decision about who may be reached. What comes out of [`Resolve`] is judged, and only
//! what was found good goes into [`Dial`].

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

/// Finds the addresses of a host.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, which is in lower case and has no dot at its end. It is asked once for each
    /// connection, and dropped when it takes too long.
    ///
    /// # Errors
    /// Any; the process learns only that the name could not be resolved.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// Connects to a server.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Connects to exactly this address, which was judged to be of the outside world. An implementation that goes
    /// elsewhere (through a proxy, to a stand-in in a test) answers for where that is.
    ///
    /// # Errors
    /// Any; the process learns only that the connection failed.
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream>;
}

/// Lookups of one agent at once, those counted that were given up and still hold a thread.
const LOOKUPS: usize = 4;
/// Lookups of all agents at once: they share the threads that file access needs too.
static ALL_LOOKUPS: Semaphore = Semaphore::const_new(32);

/// The host's own resolver.
pub(super) struct SystemResolver {
    own: Arc<Semaphore>,
}

impl SystemResolver {
    pub(super) fn new() -> Self {
        Self { own: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let own = self.own.clone().acquire_owned().await.map_err(io::Error::other)?;
        let shared = ALL_LOOKUPS.acquire().await.map_err(io::Error::other)?;
        // The dot at the end: nothing is appended to the name, whatever search list the host has.
        let absolute = format!("{name}.");
        let lookup = move || {
            let found = (absolute.as_str(), 0).to_socket_addrs();
            drop((own, shared));
            found.map(|addresses| addresses.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
    }
}

/// TCP from this host, to any other than itself.
pub(super) struct Tcp;

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        if is_own(to).await? {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "an address of this host"));
        }
        TcpStream::connect(to).await
    }
}

/// Whether the address is one of this host's own, which may be a public one. Nothing is sent: connecting a UDP
/// socket only asks the kernel for the way, and to itself a host comes from the address that it goes to.
async fn is_own(to: SocketAddr) -> io::Result<bool> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip() == to.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_host_itself_is_never_dialled() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = Tcp.dial(listener.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(is_own("127.0.0.1:1".parse().unwrap()).await.unwrap());
    }
}
