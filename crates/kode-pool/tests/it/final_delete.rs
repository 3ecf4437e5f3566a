//! Deletion is final, whoever writes and reads meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use kode_core::fact::Fact;
use kode_core::id::{Cursor, Millis, Seq};
use kode_core::store::{After, Journal};
use kode_core::{AgentSpec, Outgoing};
use kode_pool::{Pool, PoolError};
use kode_testkit::clock::SimClock;
use kode_testkit::rounds::rounds;
use tokio::task::JoinSet;

use crate::world::{World, id};

const NAMES: [&str; 3] = ["user:1", "user:2", "user:3"];
const WRITERS: usize = 4;
/// What a message and a deletion take: time passes with what is done.
const PACE: Millis = 20;

/// What is known of one name.
#[derive(Default)]
struct Known {
    /// Deletions that began, and those that were done.
    begun: u64,
    done: u64,
    /// Messages that were acknowledged before a deletion began that was done: they are gone for ever.
    dead: BTreeSet<String>,
    /// Messages that were sent and acknowledged since, with no deletion under way.
    alive: BTreeSet<String>,
}

/// What everybody works with, what they were told, and how long it goes on.
#[derive(Clone)]
struct Stage {
    pool: Pool,
    clock: Arc<SimClock>,
    known: Arc<Mutex<BTreeMap<&'static str, Known>>>,
    until: Millis,
}

impl Stage {
    fn is_over(&self) -> bool {
        self.pool.runtime().clock().now() >= self.until
    }

    fn known<T>(&self, name: &'static str, with: impl FnOnce(&mut Known) -> T) -> T {
        with(self.known.lock().unwrap().entry(name).or_default())
    }

    async fn write(self, writer: usize) {
        for nth in (writer..).take_while(|_| !self.is_over()) {
            let (name, text) = (NAMES[nth % NAMES.len()], format!("{writer}.{nth}"));
            let begun = self.known(name, |known| known.begun);
            let message = Outgoing::from(text.clone());
            match self.pool.send(&id(name), AgentSpec::default(), message).await {
                Ok(_) => self.known(name, |known| {
                    if (known.begun, known.done) == (begun, begun) {
                        known.alive.insert(text);
                    }
                }),
                // It may or may not have been taken: the agent went away meanwhile.
                Err(PoolError::Gone | PoolError::Store(_) | PoolError::Rejected(_)) => {}
                Err(other) => panic!("{name}: {other}"),
            }
            self.clock.advance(PACE);
        }
    }

    /// Follows a name over its deaths: cursors rise, and nothing that is dead is seen.
    async fn read(self, name: &'static str) {
        let mut after = Cursor::ZERO;
        while !self.is_over() {
            let mut events = self.pool.runtime().subscription(&id(name), after);
            while let Some(event) = events.next_ready().await.unwrap() {
                assert!(event.cursor > after, "{name}: a cursor came again");
                after = event.cursor;
            }
            self.look(name).await;
            tokio::task::yield_now().await;
        }
    }

    async fn look(&self, name: &'static str) {
        let dead = self.known(name, |known| known.dead.clone());
        let Some(view) = self.pool.look(&id(name)).await.unwrap() else { return };
        let texts = view.transcript.iter().map(|message| message.text());
        let back: Vec<_> = texts.filter(|text| dead.contains(text.as_str())).collect();
        assert!(back.is_empty(), "{name}: came back: {back:?}");
    }

    async fn delete(self, name: &'static str) {
        while !self.is_over() {
            let gone = self.known(name, |known| {
                known.begun += 1;
                std::mem::take(&mut known.alive)
            });
            match self.pool.delete(&id(name), false).await {
                Ok(()) | Err(PoolError::NotFound(_)) => {}
                Err(other) => panic!("{name}: {other}"),
            }
            self.known(name, |known| {
                known.dead.extend(gone);
                known.done += 1;
            });
            self.look(name).await;
            self.clock.advance(PACE);
            // Until something was written again.
            while !self.is_over() && self.known(name, |known| known.alive.len() < 3) {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn play(&self) {
        let mut all = JoinSet::new();
        (0..WRITERS).for_each(|writer| drop(all.spawn(self.clone().write(writer))));
        for name in NAMES {
            all.spawn(self.clone().read(name));
            all.spawn(self.clone().delete(name));
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g7_delete_is_final_while_writers_and_readers_race_with_it() {
    let seconds = rounds("simulated seconds of writers, readers and deletes in a race", 60, 600);
    let world = World::new();
    let (pool, clock) = (world.pool(10), world.clock.clone());
    let until_then = pool.runtime().clock().now() + seconds * 1_000;
    let stage = Stage { pool, clock, known: Arc::default(), until: until_then };
    stage.play().await;

    // The process dies, and another one goes on: what is dead stays dead, what is alive is there.
    let pool = world.pool(10);
    pool.resume_unfinished().await.unwrap();
    let (mut dead, mut alive, mut deletions) = (0, 0, 0);
    let known = std::mem::take(&mut *stage.known.lock().unwrap());
    for (name, known) in &known {
        let entries = world.store.read(&id(name), After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
        let queued = entries.iter().filter_map(|entry| match &entry.fact {
            Fact::MessageQueued { content, .. } => content[0].as_text().map(str::to_owned),
            _ => None,
        });
        let there: BTreeSet<String> = queued.collect();
        assert_eq!(there.intersection(&known.dead).next(), None, "{name}: it came back");
        assert!(there.is_superset(&known.alive), "{name}: what nobody deleted is gone");
        (dead, alive, deletions) =
            (dead + known.dead.len(), alive + known.alive.len(), deletions + known.done);
    }
    println!("{deletions} deletions of {dead} messages, {alive} alive");
    assert!(deletions > 20 && dead > 50, "{deletions} deletions of {dead} messages are no race");
}
