//! The port for what a store's nodes must know of each other: which there are, and how to reach them.
//!
//! A node says where it is as long as it is there; a request that reaches another node than its agent's holder
//! ([`super::Leases::holder`]) finds the way here. What never belongs here: who owns what, and where agents are
//! placed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use super::StoreResult;
use crate::id::Millis;

/// A node and how its peers reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Its name: what it holds leases as.
    pub id: String,
    /// Where its peers reach it; empty for one that they cannot.
    pub url: String,
    /// What it has written among the files that all nodes share, without white space: another node that finds it there
    /// shares them. Empty for one that has written nothing.
    pub mark: String,
}

/// The nodes on a store. As with leases, `now` is the caller's clock, and a store of its own clock judges by that.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Says that a node is there for `ttl`; said again, it stays, with the newest url.
    ///
    /// # Errors
    /// `Full`, `Unavailable`.
    async fn announce(&self, node: &Node, ttl: Millis, now: Millis) -> StoreResult<()>;

    /// Says that a node goes. One that is not there is no error.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn withdraw(&self, id: &str) -> StoreResult<()>;

    /// The nodes that are there, in the order of their ids.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn nodes(&self, now: Millis) -> StoreResult<Vec<Node>>;
}

/// Nodes in memory, for stores that one process has to itself. Clones share what is in it.
#[derive(Debug, Clone, Default)]
pub struct NodeTable(Arc<Mutex<BTreeMap<String, Announced>>>);

#[derive(Debug)]
struct Announced {
    node: Node,
    expires: Millis,
}

impl NodeTable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Announced>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }

    /// As [`Nodes::announce`]. Those whose time is over go, so that nothing piles up.
    pub fn announce(&self, node: &Node, ttl: Millis, now: Millis) {
        let mut nodes = self.lock();
        nodes.retain(|_, announced| announced.expires > now);
        let announced = Announced { node: node.clone(), expires: now.saturating_add(ttl) };
        nodes.insert(node.id.clone(), announced);
    }

    /// As [`Nodes::withdraw`].
    pub fn withdraw(&self, id: &str) {
        self.lock().remove(id);
    }

    /// As [`Nodes::nodes`].
    #[must_use]
    pub fn nodes(&self, now: Millis) -> Vec<Node> {
        let nodes = self.lock();
        let there = nodes.iter().filter(|(_, announced)| announced.expires > now);
        there.map(|(_, announced)| announced.node.clone()).collect()
    }
}
