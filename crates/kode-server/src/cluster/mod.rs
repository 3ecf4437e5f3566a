//! Several nodes on one store: what changes an agent goes to the node that has it, in one hop.
//!
//! [`route`] stands behind the door: it decides where a request belongs, and forwards it with a proof of the nodes'
//! common secret and with who made it. [`admit`] stands before the door of the other node, and takes that proof. What
//! only reads is answered where it comes in. Who holds an agent is the store's to say, and where it belongs the pool's.

mod admit;
mod peer;
mod proof;
mod route;
mod subject;

use std::fmt;

pub(crate) use admit::{Forwarded, admit};
pub(crate) use peer::FromPeer;
use peer::Peers;
pub use proof::{ClusterSecret, WeakClusterSecret};
pub(crate) use route::route;

/// What a node needs to forward to its peers, and to be forwarded to. Clones are handles on the same.
#[derive(Clone)]
pub struct Cluster {
    secret: ClusterSecret,
    peers: Peers,
}

impl Cluster {
    /// With the secret that all nodes of the store have.
    ///
    /// # Errors
    /// No HTTP client can be had.
    pub fn new(secret: ClusterSecret) -> std::io::Result<Self> {
        Ok(Self { secret, peers: Peers::new()? })
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster(…)")
    }
}
