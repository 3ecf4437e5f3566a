//! Which abandoned agents this node is to try, and when. Pure: what is abandoned, who is there and what time it is are
//! handed in.
//!
//! All nodes see the same agents. So that they do not race for each, they try in the order of [`placement`], one grace
//! after the other: the first one at once, the next ones only what is still abandoned then. An agent at which there is
//! nothing to do (it waits for a person, or cannot be taken up here) is left until its journal moves.

use std::collections::HashMap;

use kode_core::id::{AgentId, Millis};
use kode_core::store::{Abandoned, Head, Node};

use crate::placement::place;

/// How long an agent is left that could not be taken up for a reason that may pass.
const AGAIN: Millis = 5_000;

/// What is known of the agents that nobody holds.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    known: HashMap<AgentId, Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// Where its journal ended when it was last seen.
    head: Head,
    /// Since when it is to be tried; never, where there is nothing to do as long as its journal ends there.
    since: Option<Millis>,
}

/// Who is to be tried now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Those for whom it is this node's turn, with where their journals end; the one whose turn came first first.
    pub(crate) now: Vec<(AgentId, Head)>,
    /// When the next one's turn comes, if nothing changes.
    pub(crate) next: Option<Millis>,
}

impl Orphans {
    /// Takes in what is abandoned now, and forgets all others.
    pub(crate) fn see(&mut self, abandoned: Vec<Abandoned>, now: Millis) {
        let known = abandoned.into_iter().map(|Abandoned { agent, head }| {
            let before = self.known.get(&agent).copied().filter(|known| known.head == head);
            (agent, before.unwrap_or(Known { head, since: Some(now) }))
        });
        self.known = known.collect();
    }

    /// Those that are this node's to try by now: `grace` after each node that comes before it.
    pub(crate) fn due(&self, me: &str, nodes: &[Node], grace: Millis, now: Millis) -> Due {
        let turn = |(agent, known): (&AgentId, &Known)| {
            let before = u64::try_from(place(agent, me, nodes)).unwrap_or(u64::MAX);
            Some((known.since?.saturating_add(grace.saturating_mul(before)), agent.clone(), known.head))
        };
        let mut turns: Vec<_> = self.known.iter().filter_map(turn).collect();
        turns.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let next = turns.iter().map(|(at, ..)| *at).find(|at| *at > now);
        let due = turns.into_iter().take_while(|(at, ..)| *at <= now);
        Due { now: due.map(|(_, agent, head)| (agent, head)).collect(), next }
    }

    /// There is nothing to do at this agent as long as its journal ends there.
    pub(crate) fn leave(&mut self, agent: &AgentId, head: Head) {
        self.known.insert(agent.clone(), Known { head, since: None });
    }

    /// It could not be taken up for a reason that may pass.
    pub(crate) fn put_off(&mut self, agent: &AgentId, head: Head, now: Millis) {
        self.known.insert(agent.clone(), Known { head, since: Some(now.saturating_add(AGAIN)) });
    }
}

#[cfg(test)]
mod tests {
    use kode_core::id::{Cursor, Epoch, Seq};

    use super::*;

    const GRACE: Millis = 100;

    fn id(text: &str) -> AgentId {
        AgentId::new(text).unwrap()
    }

    fn head(seq: u64) -> Head {
        Head { seq: Seq(seq), epoch: Epoch(7), cursor: Cursor(seq) }
    }

    fn abandoned(name: &str, seq: u64) -> Abandoned {
        Abandoned { agent: id(name), head: head(seq) }
    }

    fn nodes() -> Vec<Node> {
        ["a", "b", "c"].map(|id| Node { id: id.into(), ..Node::default() }).into()
    }

    fn due_at(orphans: &Orphans, me: &str, now: Millis) -> Due {
        orphans.due(me, &nodes(), GRACE, now)
    }

    #[test]
    fn the_first_tries_at_once_and_each_other_one_grace_later() {
        let mut orphans = Orphans::default();
        orphans.see(vec![abandoned("x", 1)], 1_000);
        for node in nodes() {
            let turn = 1_000 + GRACE * place(&id("x"), &node.id, &nodes()) as u64;
            assert_eq!(due_at(&orphans, &node.id, turn).now, [(id("x"), head(1))]);
            if turn > 1_000 {
                let waiting = Due { now: vec![], next: Some(turn) };
                assert_eq!(due_at(&orphans, &node.id, turn - 1), waiting, "{}", node.id);
            }
        }
        let all: std::collections::BTreeSet<_> =
            nodes().iter().map(|node| place(&id("x"), &node.id, &nodes())).collect();
        assert_eq!(all.len(), 3, "no two nodes try at the same moment");
    }

    #[test]
    fn who_is_taken_meanwhile_is_nobodys_turn_any_more() {
        let mut orphans = Orphans::default();
        orphans.see(vec![abandoned("x", 1), abandoned("y", 1)], 0);
        orphans.see(vec![abandoned("y", 1)], 50);
        let due = due_at(&orphans, "a", 10_000);
        assert_eq!(due.now, [(id("y"), head(1))]);
        // Abandoned anew: the turns begin anew.
        orphans.see(vec![abandoned("x", 5), abandoned("y", 1)], 20_000);
        let x_first = 20_000 + GRACE * place(&id("x"), "a", &nodes()) as u64;
        let due = due_at(&orphans, "a", 20_000);
        assert_eq!(due.now.contains(&(id("x"), head(5))), x_first == 20_000);
    }

    #[test]
    fn where_there_is_nothing_to_do_it_is_left_until_its_journal_moves() {
        let mut orphans = Orphans::default();
        orphans.see(vec![abandoned("x", 1)], 0);
        orphans.leave(&id("x"), head(1));
        orphans.see(vec![abandoned("x", 1)], 100);
        assert_eq!(due_at(&orphans, "a", 10_000), Due { now: vec![], next: None });
        orphans.see(vec![abandoned("x", 2)], 200);
        assert_eq!(due_at(&orphans, "a", 10_000).now, [(id("x"), head(2))]);
    }

    #[test]
    fn what_may_pass_is_tried_again_later() {
        let mut orphans = Orphans::default();
        orphans.see(vec![abandoned("x", 1)], 0);
        orphans.put_off(&id("x"), head(1), 1_000);
        orphans.see(vec![abandoned("x", 1)], 1_100);
        let alone = |now| orphans.due("a", &[], GRACE, now);
        assert_eq!(alone(1_000 + AGAIN - 1), Due { now: vec![], next: Some(1_000 + AGAIN) });
        assert_eq!(alone(1_000 + AGAIN).now, [(id("x"), head(1))]);
    }
}
