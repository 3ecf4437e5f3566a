//! Where a request for an agent belongs, among the nodes of a store. The rule is pure; what it is asked of is read here.
//!
//! Only what changes an agent belongs anywhere: everything else is read from the store, by any node.

use std::sync::atomic::Ordering;

use kode_core::id::AgentId;
use kode_core::store::{Holder, Node, StoreError};

use crate::placement::first;
use crate::pool::Pool;

/// Where an agent is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Here: it is live here, this node has it, or nobody does.
    Here,
    /// At the node that has it, or is to have it.
    There(Node),
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
        if !self.inner.watched.load(Ordering::Acquire) {
            return Ok(Route::Here);
        }
        if self.is_draining() {
            return self.route_away(id).await;
        }
        if self.is_resident(id) {
            return Ok(Route::Here);
        }
        let (store, now) = (self.runtime().store(), self.runtime().clock().steady());
        let me = self.runtime().holder();
        match store.holder(id, now).await? {
            Some(holder) if holder.holder != me => Ok(held(&holder, &store.nodes(now).await?)),
            Some(_) | None => Ok(Route::Here),
        }
    }

    /// The same at a node that drains: it is the way to its peers, also to what nobody has.
    async fn route_away(&self, id: &AgentId) -> Result<Route, StoreError> {
        let (store, now) = (self.runtime().store(), self.runtime().clock().steady());
        let (holder, nodes) = (store.holder(id, now).await?, store.nodes(now).await?);
        Ok(away(id, holder.as_ref(), self.runtime().holder(), &nodes))
    }
}

/// To whoever holds it, if that is a node that is there.
fn held(holder: &Holder, nodes: &[Node]) -> Route {
    nodes
        .iter()
        .find(|node| node.id == holder.holder)
        .map_or(Route::Nowhere, |node| Route::There(node.clone()))
}

/// From a node that goes: to another one's, or to the one that is the first for it. Here, which refuses it, where there
/// is no other.
fn away(id: &AgentId, holder: Option<&Holder>, me: &str, nodes: &[Node]) -> Route {
    match (holder, first(id, nodes.iter().filter(|node| node.id != me))) {
        (_, None) => Route::Here,
        (Some(holder), Some(_)) if holder.holder == me => Route::Nowhere,
        (Some(holder), Some(_)) => held(holder, nodes),
        (None, Some(peer)) => Route::There(peer.clone()),
    }
}

#[cfg(test)]
mod tests {
    use kode_core::id::Epoch;

    use super::*;

    fn held_by(name: &str) -> Holder {
        Holder { holder: name.into(), epoch: Epoch(7), expires: 1 }
    }

    fn node(id: &str) -> Node {
        Node { id: id.into(), url: format!("http://{id}"), ..Node::default() }
    }

    #[test]
    fn a_request_goes_to_the_holder_as_long_as_that_is_there() {
        let nodes = [node("a"), node("b")];
        assert_eq!(held(&held_by("b"), &nodes), Route::There(node("b")));
        assert_eq!(held(&held_by("gone"), &nodes), Route::Nowhere);
        assert_eq!(held(&held_by("a"), &[]), Route::Nowhere);
    }

    #[test]
    fn from_a_node_that_goes_a_request_goes_to_another_one_while_there_is_one() {
        let id = AgentId::new("user:1").unwrap();
        let (me, other) = (node("me"), node("other"));
        // Its own word may still be there, or not any more.
        for nodes in [vec![other.clone()], vec![me.clone(), other.clone()]] {
            assert_eq!(away(&id, None, "me", &nodes), Route::There(other.clone()));
            assert_eq!(away(&id, Some(&held_by("other")), "me", &nodes), Route::There(other.clone()));
            assert_eq!(
                away(&id, Some(&held_by("me")), "me", &nodes),
                Route::Nowhere,
                "it is being given back"
            );
            assert_eq!(away(&id, Some(&held_by("gone")), "me", &nodes), Route::Nowhere);
        }
        for holder in [None, Some(held_by("me")), Some(held_by("gone"))] {
            assert_eq!(away(&id, holder.as_ref(), "me", &[]), Route::Here);
            assert_eq!(away(&id, holder.as_ref(), "me", std::slice::from_ref(&me)), Route::Here);
        }
    }
}
