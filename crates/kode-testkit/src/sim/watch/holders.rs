//! One holder at a time, and only the holder works. What is held until when is kept here a second time, by the
//! store's clock.

use std::collections::BTreeMap;

use kode_core::id::{AgentId, Epoch, Millis};
use kode_core::store::Lease;

use super::Checked;

/// What clocks of different speed may differ by within one lease, and the coarseness of a world's time.
const SLACK: Millis = 10;

#[derive(Debug)]
struct Held {
    holder: String,
    epoch: Epoch,
    until: Millis,
}

/// Who holds each agent.
#[derive(Debug, Default)]
pub(super) struct Holders(BTreeMap<AgentId, Held>);

impl Holders {
    pub(super) fn granted(&mut self, lease: &Lease, holder: &str, until: Millis, now: Millis) -> Checked {
        let held = Held { holder: holder.to_owned(), epoch: lease.epoch, until };
        let before = self.0.insert(lease.agent.clone(), held);
        match before.filter(|before| before.holder != holder && before.until > now) {
            Some(before) => Err(format!(
                "{} was given to {holder} when {} had it for {} ms more",
                lease.agent,
                before.holder,
                before.until - now
            )),
            None => Ok(()),
        }
    }

    pub(super) fn renewed(&mut self, lease: &Lease, until: Millis) -> Checked {
        match self.0.get_mut(&lease.agent).filter(|held| held.epoch == lease.epoch) {
            Some(held) => {
                held.until = until;
                Ok(())
            }
            None => Err(format!(
                "a lease of {} with epoch {} was renewed when another is in force",
                lease.agent, lease.epoch
            )),
        }
    }

    /// Something begins at a node. Nobody else may have the agent by then, and it must not be up for the taking.
    pub(super) fn works(&self, agent: &AgentId, node: &str, now: Millis) -> Checked {
        match self.0.get(agent) {
            Some(held) if held.holder != node => {
                Err(format!("{node} starts work of {agent}, which {} has", held.holder))
            }
            Some(held) if held.until + SLACK < now => {
                Err(format!("{node} starts work of {agent}, and its lease ended {} ms ago", now - held.until))
            }
            Some(_) => Ok(()),
            None => Err(format!("{node} starts work of {agent}, which nobody has")),
        }
    }

    pub(super) fn released(&mut self, lease: &Lease) {
        if self.0.get(&lease.agent).is_some_and(|held| held.epoch == lease.epoch) {
            self.0.remove(&lease.agent);
        }
    }
}
