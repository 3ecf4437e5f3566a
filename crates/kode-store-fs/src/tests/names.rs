//! Agents that are made, deleted and made again between power cuts: whose names come back, and whose never do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Epoch, Seq};
use kode_core::store::{After, Durability, Lease};
use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, id, step};

use super::Dice;
use super::power::{Making, put, small_log};
use super::sim::SimDisk;
use crate::store::Store;

/// What is known of one agent.
#[derive(Default)]
struct Known {
    written: Vec<Entry>,
    /// How many of them are acknowledged as synced.
    synced: usize,
    /// The highest epoch under which anything was told.
    epoch: Epoch,
    /// Whether its last writer went away without a word.
    unfinished: bool,
}

/// Looks whether an agent is what it was.
fn look(store: &Store, agent: &AgentId, known: &mut Known) -> Result<(), String> {
    let left = store.read(agent, After::Seq(Seq::ZERO), usize::MAX).map_err(|error| error.to_string())?;
    if left.len() < known.synced || known.written.get(..left.len()) != Some(&left) {
        let (left, of) = (left.len(), known.synced);
        return Err(format!("{agent} has {left} entries, {of} were acknowledged since it was deleted last"));
    }
    let listed = store.list(agent.as_str(), None, 10).map_err(|error| error.to_string())?.contains(agent);
    if listed && left.is_empty() {
        return Err(format!("{agent} is there, and has nothing"));
    }
    let marked = store.unfinished().map_err(|error| error.to_string())?.contains(agent);
    if known.unfinished && known.synced > 0 && !marked {
        return Err(format!("nobody would go on with {agent}"));
    }
    known.written.truncate(left.len());
    Ok(())
}

fn lease(store: &Store, agent: &AgentId, known: &mut Known) -> Result<Lease, String> {
    let lease = store.acquire(agent, HOLDER, TTL, NOW).map_err(|error| error.to_string())?;
    if lease.epoch <= known.epoch {
        return Err(format!("the epoch {} of {agent} came again", lease.epoch));
    }
    known.unfinished = true;
    Ok(lease)
}

/// Appends some batches under a new lease, and ends it one way or another.
fn write(store: &Store, agent: &AgentId, known: &mut Known, dice: &mut Dice) -> Result<(), String> {
    let lease = lease(store, agent, known)?;
    let mut pen = Pen { lease, head: store.head(agent).unwrap().unwrap_or_default() };
    for nth in 0..dice.roll(4) {
        let synced = nth == 0 || dice.roll(2) == 0;
        let grade = if synced { Durability::Synced } else { Durability::Buffered };
        let facts = vec![step(1); 1 + dice.roll(3)];
        known.written.extend(put(store, &mut pen, facts, grade, dice.roll(2) == 0));
        if synced {
            known.synced = known.written.len();
        }
        known.epoch = pen.epoch();
    }
    if dice.roll(2) == 0 {
        store.release(&pen.lease, true).map_err(|error| error.to_string())?;
        known.unfinished = false;
    }
    Ok(())
}

/// Makes and deletes, and loses power, again and again; tells the first thing that is not as it was left.
fn survive(seed: u64, commit: Making) -> Result<(), String> {
    let (mut dice, disk) = (Dice::new(seed), SimDisk::new());
    let mut agents: BTreeMap<_, _> = ["a", "b", "c"].map(|name| (id(name), Known::default())).into();
    for round in 0..4 {
        let wrong = |why: String| format!("seed {seed}, round {round}: {why}");
        let store =
            Store::open_with(Arc::new(disk.clone()), commit).map_err(|error| wrong(error.to_string()))?;
        for (agent, known) in &mut agents {
            look(&store, agent, known).map_err(wrong)?;
        }
        for _ in 0..1 + dice.roll(8) {
            let (agent, known) = agents.iter_mut().nth(dice.roll(3)).expect("there are three");
            match dice.roll(8) {
                0 => store.retire(&AtomicBool::new(false)),
                1 | 2 => {
                    let lease = lease(&store, agent, known).map_err(wrong)?;
                    store.delete(&lease).map_err(|error| wrong(error.to_string()))?;
                    *known = Known { epoch: lease.epoch, ..Known::default() };
                }
                _ => write(&store, agent, known, &mut dice).map_err(wrong)?,
            }
        }
        drop(store);
        if dice.roll(4) == 0 { disk.revive() } else { disk.lose_power(&mut dice) }
    }
    Ok(())
}

#[test]
fn g1_agents_that_were_made_or_deleted_are_so_after_power_cuts() {
    for seed in 0..rounds("lives of three agents on a disk that loses power", 3_000, 100_000) {
        assert_eq!(survive(seed, small_log), Ok(()));
    }
}
