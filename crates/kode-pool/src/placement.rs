//! Which node an agent belongs to while all are well: rendezvous hashing. Pure.
//!
//! Every node comes to the same order for each agent, with no word between them. When a node comes or goes, only the
//! agents that it was the first for have another one. Who really holds an agent is the store's to say, never this.

use kode_core::id::AgentId;
use kode_core::store::Node;

/// How many of the nodes come before `me` for an agent. Zero also where nobody else is there.
pub(crate) fn place(agent: &AgentId, me: &str, nodes: &[Node]) -> usize {
    let mine = (score(agent, me), me);
    nodes.iter().filter(|node| node.id != me && (score(agent, &node.id), node.id.as_str()) > mine).count()
}

/// The one of them that an agent belongs to, if there is any.
pub(crate) fn first<'n>(agent: &AgentId, nodes: impl Iterator<Item = &'n Node>) -> Option<&'n Node> {
    nodes.max_by_key(|node| (score(agent, &node.id), node.id.as_str()))
}

/// The same on every machine and in every version: nodes of two versions share a store.
fn score(agent: &AgentId, node: &str) -> u64 {
    let bytes = node.bytes().chain([0]).chain(agent.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes alone do not move the high bits, which decide.
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str) -> Node {
        Node { id: id.into(), ..Node::default() }
    }

    fn agent(n: u32) -> AgentId {
        AgentId::new(format!("user:{n}")).unwrap()
    }

    fn order(agent: &AgentId, nodes: &[Node]) -> Vec<String> {
        let mut order: Vec<_> =
            nodes.iter().map(|node| (place(agent, &node.id, nodes), node.id.clone())).collect();
        order.sort();
        assert!(order.iter().enumerate().all(|(at, (place, _))| at == *place), "each place is taken once");
        assert_eq!(first(agent, nodes.iter()).unwrap().id, order[0].1);
        order.into_iter().map(|(_, id)| id).collect()
    }

    #[test]
    fn all_nodes_agree_on_an_order_and_share_the_agents() {
        let nodes = ["a", "b", "c"].map(node);
        let mut first = std::collections::BTreeMap::<String, u32>::new();
        for n in 0..3_000 {
            let order = order(&agent(n), &nodes);
            *first.entry(order[0].clone()).or_default() += 1;
        }
        assert!(first.len() == 3 && first.values().all(|count| (850..1_150).contains(count)), "{first:?}");
    }

    #[test]
    fn a_node_that_goes_moves_its_own_agents_only() {
        let (three, two) = (["a", "b", "c"].map(node), ["a", "c"].map(node));
        for n in 0..500 {
            let (before, after) = (order(&agent(n), &three), order(&agent(n), &two));
            let left: Vec<_> = before.into_iter().filter(|id| id != "b").collect();
            assert_eq!(left, after);
        }
    }

    /// A change here would have nodes of two versions disagree.
    #[test]
    fn the_scores_are_what_they_were() {
        assert_eq!(score(&agent(1), "node-a"), SCORE);
        assert_eq!(place(&agent(1), "alone", &[]), 0);
    }

    const SCORE: u64 = 0xa128_9187_597f_29a4;
}
