//! Readers of the hub against writers that append, tell, die and are followed by others.

use std::sync::Arc;

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor};
use kode_core::machine::{Batch, project};
use kode_core::store::memory::MemoryStore;
use kode_core::store::{Catalog, Durability, Store};
use kode_testkit::store_suite::pen::{Pen, chunk, id};
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use crate::{explore, finds};

/// Entries of one writer, the second of which it does not tell: its append had no answer.
const ENTRIES: u32 = 3;
const UNTOLD: u32 = 1;
const WRITERS: u32 = 2;

fn batch(entries: Vec<Entry>) -> Batch {
    let envelopes = entries.iter().flat_map(project).collect();
    Batch { entries, envelopes }
}

macro_rules! races {
    ($module:ident) => {
        use crate::$module::hub::{Hub, Subscription};

        /// One writer after another, each from where the journal ends.
        async fn write(store: &MemoryStore, hub: &Hub, agent: &AgentId) {
            let feed = hub.feed(agent);
            for _ in 0..WRITERS {
                let mut pen = Pen::take(store, agent).await;
                feed.attach(pen.head.seq, pen.head.cursor);
                for n in 0..ENTRIES {
                    let entries = pen.entries([(chunk("x", 1), 1)]);
                    pen.try_write(store, &entries, Durability::Synced).await.expect("the append is in order");
                    if n != UNTOLD {
                        feed.publish(batch(entries));
                    }
                    feed.rest();
                }
            }
        }

        /// Reads so many events; comes back after each of the first `returns`.
        async fn read(store: &MemoryStore, hub: &Hub, agent: &AgentId, returns: usize) -> Vec<Cursor> {
            let shared: Arc<dyn Store> = Arc::new(store.clone());
            let subscribe = |after| Subscription::new(agent.clone(), hub.feed(agent), shared.clone(), after);
            let (mut events, mut seen) = (subscribe(Cursor(0)), Vec::new());
            while seen.len() < (ENTRIES * WRITERS) as usize {
                let event = events.next().await.expect("the store can be read").expect("it is not deleted");
                seen.push(event.cursor);
                if seen.len() <= returns {
                    events = subscribe(event.cursor);
                }
            }
            seen
        }

        fn spawn_writer(store: &MemoryStore, hub: &Arc<Hub>) -> JoinHandle<()> {
            let (store, hub) = (store.clone(), hub.clone());
            thread::spawn(move || block_on(write(&store, &hub, &id("a"))))
        }

        /// Everyone reads everything, once and in order, whenever they come.
        pub(super) fn reading() {
            let (store, hub) = (MemoryStore::new(), Arc::new(Hub::default()));
            let readers: Vec<_> = (0..2)
                .map(|returns| {
                    let (store, hub) = (store.clone(), hub.clone());
                    thread::spawn(move || block_on(read(&store, &hub, &id("a"), returns)))
                })
                .collect();
            spawn_writer(&store, &hub).join().expect("the writer ends");
            let seen: Vec<_> =
                readers.into_iter().map(|reader| reader.join().expect("a reader ends")).collect();
            assert!(seen[0].is_sorted_by(|a, b| a < b), "{seen:?}");
            assert_eq!(seen[0], seen[1]);
        }

        /// Readers of an agent that is deleted end, and have seen a beginning of what there was.
        pub(super) fn deleting() {
            let (store, hub, agent) = (MemoryStore::new(), Arc::new(Hub::default()), id("a"));
            let shared: Arc<dyn Store> = Arc::new(store.clone());
            let mut events = Subscription::new(agent.clone(), hub.feed(&agent), shared, Cursor(0));
            let reader = thread::spawn(move || {
                block_on(async {
                    let mut seen = Vec::new();
                    while let Some(event) = events.next().await.expect("the store can be read") {
                        seen.push(event.cursor);
                    }
                    seen
                })
            });
            block_on(async {
                let feed = hub.feed(&agent);
                let mut pen = Pen::take(&store, &agent).await;
                feed.attach(pen.head.seq, pen.head.cursor);
                let entries = pen.entries([(chunk("x", 1), 1)]);
                pen.try_write(&store, &entries, Durability::Synced).await.expect("the append is in order");
                feed.publish(batch(entries));
                store.delete(pen.lease).await.expect("it can be deleted");
                feed.close();
            });
            let seen = reader.join().expect("the reader ends");
            assert!(seen.len() <= 1, "{seen:?}");
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
fn g4_in_a_race_each_reader_gets_each_event_once_and_waits_for_none_that_is_there() {
    explore("interleavings of readers and writers of the hub", real::reading);
}

#[test]
fn in_a_race_readers_of_a_deleted_agent_end() {
    explore("interleavings of a reader and a delete", real::deleting);
}

#[test]
fn to_read_and_then_subscribe_is_found_out() {
    assert!(finds(planted::reading));
    assert!(finds(planted::deleting));
}
