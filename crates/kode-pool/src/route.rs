//! Where a request for an agent belongs, among the nodes of a store. The rule is pure; what it is asked of is read here.
//!
//! Only what changes an agent belongs anywhere: everything else is read from the store, by any node.

use std::sync::atomic::Ordering;

use kode_core::id::{AgentId, Epoch};
use kode_core::store::{Holder, Node, StoreError};

use crate::pool::Pool;

/// Where an agent is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Here: it is live here, this node has it, or nobody does.
    Here,
    /// At the node that has it, for as long as that lease is in force.
    There {
        /// Which node, and where.
        node: Node,
        /// The term of its lease: once it is another, so may be the node.
        epoch: Epoch,
    },
    /// Nowhere yet: the node that has it is gone, or about to go. Soon nobody has it.
    Nowhere,
}

impl Pool {
    /// Where an agent is to be asked for something that changes it. Costs nothing where it is live here, or no watch is
    /// kept; otherwise one look at the store, or two.
    ///
    /// # Errors
    /// The store's.
    pub async fn route(&self, id: &AgentId) -> Result<Route, StoreError> {
        if !self.inner.watched.load(Ordering::Acquire) || self.is_resident(id) {
            return Ok(Route::Here);
        }
        let (store, now) = (self.runtime().store(), self.runtime().clock().steady());
        match store.holder(id, now).await? {
            Some(holder) if holder.holder != self.runtime().holder() => {
                Ok(route(holder, &store.nodes(now).await?))
            }
            Some(_) | None => Ok(Route::Here),
        }
    }
}

/// To whoever holds it, if that is a node that is there.
fn route(holder: Holder, nodes: &[Node]) -> Route {
    match nodes.iter().find(|node| node.id == holder.holder) {
        Some(node) => Route::There { node: node.clone(), epoch: holder.epoch },
        None => Route::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_to_the_holder_as_long_as_that_is_there() {
        let held_by = |name: &str| Holder { holder: name.into(), epoch: Epoch(7), expires: 1 };
        let node = |id: &str| Node { id: id.into(), url: format!("http://{id}"), ..Node::default() };
        let nodes = [node("a"), node("b")];
        assert_eq!(route(held_by("b"), &nodes), Route::There { node: node("b"), epoch: Epoch(7) });
        assert_eq!(route(held_by("gone"), &nodes), Route::Nowhere);
        assert_eq!(route(held_by("a"), &[]), Route::Nowhere);
    }
}
