//! Whatever happens to connections, readers and processes: a reader that goes on from its cursor has the whole log.

use std::collections::HashSet;
use std::sync::Arc;

use kode_core::event::{Envelope, Event};
use kode_core::hub::Subscription;
use kode_core::id::{AgentId, Cursor, Seq};
use kode_core::machine::project;
use kode_core::store::{After, Journal};
use kode_pool::Pool;
use kode_testkit::rounds::rounds;
use kode_testkit::scripted_model::Script;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{World, id, plain, until};

/// Readers of each agent; turns of each agent in one life of the process.
const READERS: u64 = 6;
const TURNS: usize = 6;
const NAMES: [&str; 3] = ["user:1", "user:2", "user:3"];

/// A small generator of numbers: the same seed, the same schedule.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// One who reads an agent's events, loses the connection, and comes back with the last cursor.
struct Reader {
    name: AgentId,
    seen: Vec<Arc<Envelope>>,
    dice: Dice,
    returns: u64,
}

impl Reader {
    fn new(name: &str, nth: u64) -> Self {
        Self { name: id(name), seen: Vec::new(), dice: Dice(nth + 1), returns: 0 }
    }

    fn connect(&mut self, pool: &Pool) -> Subscription {
        self.returns += 1;
        let after = self.seen.last().map_or(Cursor::ZERO, |last| last.cursor);
        pool.runtime().subscription(&self.name, after)
    }

    fn take(&mut self, event: Arc<Envelope>) {
        let last = self.seen.last().map_or(Cursor::ZERO, |last| last.cursor);
        assert!(event.cursor > last, "{}: {} came after {last}", self.name, event.cursor);
        self.seen.push(event);
    }

    /// Reads until the process ends, with a connection that never lasts; every other reader is slow.
    async fn read(&mut self, pool: &Pool, mut over: watch::Receiver<bool>) {
        let slow = self.dice.below(2) == 0;
        loop {
            let mut events = self.connect(pool);
            for _ in 0..self.dice.below(5) {
                tokio::select! {
                    event = events.next() => self.take(event.unwrap().expect("nobody deletes it")),
                    _ = over.wait_for(|over| *over) => return,
                }
            }
            for _ in 0..if slow { self.dice.below(40) } else { 0 } {
                tokio::task::yield_now().await;
            }
            if *over.borrow() {
                return;
            }
        }
    }

    async fn read_the_rest(&mut self, pool: &Pool) {
        let mut events = self.connect(pool);
        while let Some(event) = events.next_ready().await.unwrap() {
            self.take(event);
        }
    }
}

/// Turns of all agents; the process ends in the middle of the last ones.
async fn work(pool: &Pool) {
    for turn in 0..TURNS {
        for name in NAMES {
            pool.send(&id(name), plain(), "go on".into()).await.unwrap();
        }
        for name in NAMES.iter().filter(|_| turn + 1 < TURNS) {
            let agent = pool.get(&id(name)).await.unwrap();
            until(&agent, |view| view.at_rest).await;
        }
    }
}

/// One life of the process, which ends without a word.
async fn live(world: &World, readers: Vec<Reader>) -> Vec<Reader> {
    let (pool, (over, is_over)) = (world.pool(10), watch::channel(false));
    pool.resume_unfinished().await.unwrap();
    let mut reading = JoinSet::new();
    for mut reader in readers {
        let (pool, over) = (pool.clone(), is_over.clone());
        reading.spawn(async move {
            reader.read(&pool, over).await;
            reader
        });
    }
    work(&pool).await;
    over.send_replace(true);
    reading.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_any_schedule_of_disconnects_slow_readers_and_restarts_gives_the_log_in_order_once() {
    let wanted = rounds("reconnects of readers", 10_000, 100_000);
    let answer = "word by word by word".split_inclusive(' ').fold(Script::new(), Script::text);
    let world = World::answering(answer);
    let mut readers: Vec<Reader> =
        NAMES.iter().flat_map(|name| (0..READERS).map(|nth| Reader::new(name, nth))).collect();
    let mut lives = 0;
    while readers.iter().map(|reader| reader.returns).sum::<u64>() < wanted {
        readers = live(&world, readers).await;
        lives += 1;
    }
    let pool = world.pool(10);
    pool.resume_unfinished().await.unwrap();
    for reader in &mut readers {
        let agent = pool.get(&reader.name).await.unwrap();
        until(&agent, |view| view.at_rest).await;
        reader.read_the_rest(&pool).await;
        let log = world.store.read(&reader.name, After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
        let log: Vec<Envelope> = log.iter().flat_map(project).collect();
        // What the journal let go since are pieces of answers that it keeps whole; whoever read them then has seen them.
        let kept: HashSet<Cursor> = log.iter().map(|told| told.cursor).collect();
        let (seen, gone): (Vec<_>, Vec<_>) =
            reader.seen.iter().cloned().partition(|seen| kept.contains(&seen.cursor));
        let is_piece = |seen: &Arc<Envelope>| matches!(seen.event, Event::TextChunk { .. });
        assert!(gone.iter().all(is_piece), "{}: {gone:?} is in no journal", reader.name);
        let wrong = log.iter().zip(&seen).position(|(told, seen)| *told != **seen);
        assert_eq!((wrong, seen.len()), (None, log.len()), "{}: {} returns", reader.name, reader.returns);
    }
    let events: usize = readers.iter().map(|reader| reader.seen.len()).sum();
    let returns: u64 = readers.iter().map(|reader| reader.returns).sum();
    println!("{returns} reconnects over {lives} lives: {events} events, each once");
    assert!(lives > 1);
}
