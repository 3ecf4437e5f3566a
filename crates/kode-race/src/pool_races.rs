//! Openings, evictions and deletions of one name in the pool's table.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kode_testkit::store_suite::pen::id;
use shuttle::future::block_on;
use shuttle::thread;
use tokio::sync::Semaphore;

use crate::agents::Agent;
use crate::{explore, finds};

/// Counts the live agents of the one name: more than one is the end of every guarantee.
#[derive(Debug, Clone, Default)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn begin(&self) -> Agent {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two agents of one name are live");
        Agent::default()
    }

    fn end(&self, agent: &Agent) {
        agent.go();
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

macro_rules! races {
    ($module:ident) => {
        use crate::$module::pool_slots::{Entry, Grip, Resident, Seized, Slots};

        /// As the pool enters, with the opening done by who leads it.
        fn enter(slots: &Slots, alive: &Alive) -> Grip {
            loop {
                match slots.enter(&id("a")).expect("nobody drains") {
                    Entry::Live(grip) => return grip,
                    Entry::Lead(hold, land, _) => {
                        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("it is free");
                        let resident = Resident::new(alive.begin(), place);
                        let grip = resident.grip(true);
                        thread::yield_now();
                        hold.settle(resident);
                        // Maybe nobody waits.
                        let _ = land.send(Ok(grip.clone()));
                        return grip;
                    }
                    Entry::Join(flight) => match block_on(flight) {
                        Ok(Ok(grip)) => return grip,
                        other => panic!("an opening failed: {:?}", other.map(|landed| landed.map(|_| ()))),
                    },
                    Entry::Wait(departure) => drop(block_on(departure)),
                }
            }
        }

        fn evict(slots: &Slots, alive: &Alive) {
            if let Some((hold, resident)) = slots.seize_victim() {
                alive.end(&resident.agent);
                thread::yield_now();
                drop(hold);
            }
        }

        fn delete(slots: &Slots, alive: &Alive) {
            loop {
                match slots.seize(&id("a")) {
                    Seized::Held(hold, resident) => {
                        if let Some(resident) = resident {
                            alive.end(&resident.agent);
                        }
                        thread::yield_now();
                        return drop(hold);
                    }
                    Seized::Opening(flight) => drop(block_on(flight)),
                    Seized::Leaving(departure) => drop(block_on(departure)),
                }
            }
        }

        /// Whoever has entered has a live agent until they let go.
        pub(super) fn evicting() {
            let (slots, alive) = (Slots::default(), Alive::default());
            let users: Vec<_> = (0..3)
                .map(|_| {
                    let (slots, alive) = (slots.clone(), alive.clone());
                    thread::spawn(move || {
                        let grip = enter(&slots, &alive);
                        thread::yield_now();
                        assert!(!grip.opened.agent.is_gone(), "an agent was evicted while it was in use");
                    })
                })
                .collect();
            let evictor = thread::spawn({
                let (slots, alive) = (slots.clone(), alive.clone());
                move || (0..2).for_each(|_| evict(&slots, &alive))
            });
            users.into_iter().chain([evictor]).for_each(|thread| thread.join().expect("everyone ends"));
            assert_eq!(slots.live_count(), alive.0.load(Ordering::SeqCst));
        }

        /// Nobody waits for ever, and there is never a second agent, also while the name is deleted.
        pub(super) fn deleting() {
            let (slots, alive) = (Slots::default(), Alive::default());
            let act = |act: fn(&Slots, &Alive)| {
                let (slots, alive) = (slots.clone(), alive.clone());
                thread::spawn(move || act(&slots, &alive))
            };
            let user = |slots: &Slots, alive: &Alive| drop(enter(slots, alive));
            let threads = [act(user), act(user), act(delete), act(delete), act(evict)];
            threads.into_iter().for_each(|thread| thread.join().expect("everyone ends"));
            assert_eq!(slots.live_count(), alive.0.load(Ordering::SeqCst));
        }
    };
}

mod real {
    use super::*;

    races!(real);
}

mod planted {
    use super::*;

    races!(planted);
}

#[test]
fn g5_in_a_race_a_name_has_one_live_agent_and_keeps_it_while_it_is_used() {
    explore("interleavings of openings and evictions", real::evicting);
}

#[test]
fn g5_in_a_race_with_deletions_a_name_has_one_live_agent_and_nobody_waits_for_ever() {
    explore("interleavings of openings and deletions", real::deleting);
}

#[test]
fn to_look_and_then_act_is_found_out() {
    assert!(finds(planted::evicting));
    assert!(finds(planted::deleting));
}
