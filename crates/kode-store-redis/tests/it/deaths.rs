//! The server is killed in mid-append, again and again: what was acknowledged is there, what was not is there once or
//! not at all, and the same batch sent again is not there twice.

use kode_core::fact::Entry;
use kode_core::id::AgentId;
use kode_core::store::{Durability, Journal as _, Leases as _, Store, StoreError};
use kode_store_redis::RedisStore;
use kode_testkit::rounds::rounds;
use kode_testkit::servers::RedisServer;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, id, step};
use kode_testkit::store_suite::run;

use super::{open, signal};

const WRITERS: usize = 8;

/// A writer as its runtime knows it: what it was told is durable, and the batch of which it does not know.
struct Writer {
    agent: AgentId,
    acknowledged: Vec<Entry>,
    open: Vec<Entry>,
    batches: u32,
}

impl Writer {
    fn new(number: usize) -> Self {
        let agent = id(&format!("agent-{number}"));
        Self { agent, acknowledged: Vec::new(), open: Vec::new(), batches: 0 }
    }

    /// Writes until the server is gone.
    async fn write(&mut self, store: &RedisStore) {
        let Ok(lease) = store.acquire(&self.agent, HOLDER, TTL, NOW).await else { return };
        let Ok(head) = store.head(&self.agent).await else { return };
        let mut pen = Pen { lease, head: head.unwrap_or_default() };
        loop {
            self.batches += 1;
            let batch = pen.entries([(step(self.batches), 1), (step(self.batches), 1)]);
            self.open.clone_from(&batch);
            match pen.try_write(store, &batch, Durability::Synced).await {
                Ok(()) => self.acknowledged.append(&mut self.open),
                Err(StoreError::Unavailable(_)) => break,
                Err(other) => panic!("{}: {other}", self.agent),
            }
        }
        // The same batch under the same lease, as long as nobody answers: what became of it is still open.
        let again = store.append(&pen.lease, pen.head.seq, &self.open, Durability::Synced).await;
        assert!(matches!(again, Err(StoreError::Unavailable(_))), "the server is gone: {again:?}");
    }

    /// Looks what became of the open batch, and sends it again if it is not there.
    async fn settle(&mut self, store: &impl Store) {
        let there = all(store, &self.agent).await;
        let known = self.acknowledged.len();
        assert!(there.len() >= known, "{}: {} of {known} entries are left", self.agent, there.len());
        assert_eq!(there[..known], self.acknowledged, "{}", self.agent);
        let pen = Pen::take(store, &self.agent).await;
        let rest = &there[known..];
        if rest.is_empty() {
            let batch = pen.entries(self.open.iter().map(|entry| (entry.fact.clone(), entry.events)));
            store
                .append(&pen.lease, pen.head.seq, &batch, Durability::Synced)
                .await
                .expect("it is sent once more");
            self.acknowledged.extend(batch);
        } else {
            assert_eq!(rest, self.open, "{}: half a batch, or more than one", self.agent);
            let twice = pen.entries([]);
            assert_eq!(store.append(&pen.lease, pen.head.seq, &twice, Durability::Synced).await, Ok(()));
            self.acknowledged.append(&mut self.open);
        }
        self.open.clear();
        assert_eq!(all(store, &self.agent).await, self.acknowledged, "{}", self.agent);
    }
}

#[test]
fn g1_kill_9_of_the_server_loses_nothing_acknowledged_and_doubles_nothing() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let cuts = rounds("kill -9 of a redis server that syncs", 20, 100);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    for cut in 0..cuts {
        run(async {
            let store = open(&server, "timeout_ms=2000").await;
            let victim = server.process_id();
            let writing = writers.iter_mut().map(|writer| writer.write(&store));
            let killed = async {
                // As many commands as chance wants, so that every cut is elsewhere.
                let until = entries(&store).await + 40 + (cut * 37) % 400;
                while entries(&store).await < until {}
                signal("-9", victim);
            };
            futures_util::join!(futures_util::future::join_all(writing), killed);
        });
        server.start_again();
        run(async {
            let store = open(&server, "").await;
            for writer in &mut writers {
                writer.settle(&store).await;
            }
        });
    }
    let entries: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
    assert!(entries as u64 > cuts * WRITERS as u64, "only {entries} entries were written in {cuts} lives");
}

/// How many entries the writers have.
async fn entries(store: &RedisStore) -> u64 {
    let mut seqs = 0;
    for number in 0..WRITERS {
        let head = store.head(&id(&format!("agent-{number}"))).await.expect("the server is there");
        seqs += head.map_or(0, |head| head.seq.0);
    }
    seqs
}
