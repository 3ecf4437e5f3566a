//! Who is evicted: the order in which agents were last asked for. Pure; knows nothing of agents, locks or
//! stores.

use std::collections::{BTreeMap, HashMap};

use kode_core::id::AgentId;

/// Names in the order of their last use.
#[derive(Debug, Default)]
pub(crate) struct Recency {
    uses: u64,
    order: BTreeMap<u64, AgentId>,
    last: HashMap<AgentId, u64>,
}

impl Recency {
    /// The name is used now.
    pub(crate) fn touch(&mut self, id: &AgentId) {
        self.forget(id);
        self.uses += 1;
        self.order.insert(self.uses, id.clone());
        self.last.insert(id.clone(), self.uses);
    }

    /// The name is no candidate any more.
    pub(crate) fn forget(&mut self, id: &AgentId) {
        if let Some(use_) = self.last.remove(id) {
            self.order.remove(&use_);
        }
    }

    /// How many uses there were.
    pub(crate) fn uses(&self) -> u64 {
        self.uses
    }

    /// The name whose last use is the longest ago, if that was one of the first `uses`.
    pub(crate) fn oldest(&self, uses: u64) -> Option<&AgentId> {
        self.order.first_key_value().filter(|(use_, _)| **use_ <= uses).map(|(_, id)| id)
    }

    /// The name whose last use is the longest ago, of those that may go.
    pub(crate) fn victim(&self, mut may_go: impl FnMut(&AgentId) -> bool) -> Option<&AgentId> {
        self.order.values().find(|id| may_go(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(names: &[&str]) -> Recency {
        names.iter().fold(Recency::default(), |mut recency, name| {
            recency.touch(&AgentId::new(name).unwrap());
            recency
        })
    }

    fn victim(recency: &Recency, busy: &[&str]) -> Option<String> {
        recency.victim(|id| !busy.contains(&id.as_str())).map(ToString::to_string)
    }

    #[test]
    fn the_one_unused_for_longest_goes_first() {
        assert_eq!(victim(&used(&["a", "b", "c"]), &[]).as_deref(), Some("a"));
        assert_eq!(victim(&used(&["a", "b", "a"]), &[]).as_deref(), Some("b"));
    }

    #[test]
    fn a_busy_one_is_passed_over_and_none_is_left_when_all_are_busy() {
        let recency = used(&["a", "b", "c"]);
        assert_eq!(victim(&recency, &["a", "b"]).as_deref(), Some("c"));
        assert_eq!(victim(&recency, &["a", "b", "c"]), None);
    }

    #[test]
    fn the_oldest_is_told_only_if_its_last_use_was_early_enough() {
        let mut recency = used(&["a", "b"]);
        assert_eq!(recency.uses(), 2);
        assert_eq!(recency.oldest(0), None);
        assert_eq!(recency.oldest(1).map(AgentId::as_str), Some("a"));
        recency.touch(&AgentId::new("a").unwrap());
        assert_eq!((recency.oldest(1), recency.oldest(2).map(AgentId::as_str)), (None, Some("b")));
    }

    #[test]
    fn a_forgotten_one_is_no_candidate_and_leaves_nothing_behind() {
        let mut recency = used(&["a", "b"]);
        recency.forget(&AgentId::new("a").unwrap());
        recency.forget(&AgentId::new("never").unwrap());
        assert_eq!(victim(&recency, &[]).as_deref(), Some("b"));
        assert_eq!((recency.order.len(), recency.last.len()), (1, 1));
    }
}
