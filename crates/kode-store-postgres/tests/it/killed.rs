//! `kill -9` of the server while many write: nothing acknowledged is lost, nothing is there twice, batches are whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use kode_core::fact::Entry;
use kode_core::id::AgentId;
use kode_core::store::{Durability, StoreError};
use kode_store_postgres::PgStore;
use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::pen::{Pen, all, chunk, id, step};
use kode_testkit::store_suite::run;
use tokio::sync::watch;

use crate::server::start;

const AGENTS: usize = 6;

/// What is known of one agent's journal.
#[derive(Default)]
struct Book {
    /// Everything that must be there: what a synced append acknowledged, and all before it.
    sure: Vec<Entry>,
    /// What may be there behind it, batch by batch, from the end on less and less surely.
    open: Vec<Vec<Entry>>,
}

impl Book {
    fn acknowledged(&mut self, batch: Vec<Entry>, grade: Durability) {
        self.open.push(batch);
        if grade == Durability::Synced {
            self.sure.extend(self.open.drain(..).flatten());
        }
    }

    /// Compares with what is there, which is what is sure from now on.
    fn settle(&mut self, agent: &AgentId, there: Vec<Entry>) {
        let mut possible = self.sure.clone();
        let mut whole = vec![possible.clone()];
        for batch in self.open.drain(..) {
            possible.extend(batch);
            whole.push(possible.clone());
        }
        assert!(
            whole.contains(&there),
            "{agent}: {} entries are there, and the places between batches are {:?}",
            there.len(),
            whole.iter().map(Vec::len).collect::<Vec<_>>()
        );
        self.sure = there;
    }
}

/// Takes an agent as after a death: whoever takes a lease reads what is there, so a batch of unknown outcome is neither
/// lost nor done again.
async fn take(store: &PgStore, agent: AgentId, mut book: Book) -> (Pen, Book) {
    let pen = Pen::take(store, &agent).await;
    book.settle(&agent, all(store, &agent).await);
    (pen, book)
}

/// Writes until the server is gone.
async fn write(
    store: &PgStore,
    mut pen: Pen,
    mut book: Book,
    done: &AtomicU64,
    told: &watch::Sender<u64>,
) -> (AgentId, Book) {
    let agent = pen.lease.agent.clone();
    for round in 0.. {
        let grade = if round % 3 == 2 { Durability::Synced } else { Durability::Buffered };
        let batch = match grade {
            Durability::Synced => pen.entries([(step(round), 1), (step(round), 1), (chunk("x", 2), 2)]),
            Durability::Buffered => pen.entries([(chunk("x", 3), 3), (chunk("y", 1), 1)]),
        };
        match pen.try_write(store, &batch, grade).await {
            Ok(()) => {
                book.acknowledged(batch, grade);
                told.send_replace(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
            Err(StoreError::Unavailable(_)) => {
                book.open.push(batch);
                break;
            }
            Err(other) => panic!("{agent}: {other}"),
        }
    }
    (agent, book)
}

#[test]
fn g1_g5_kill_9_of_the_server_in_mid_append_loses_and_doubles_nothing() {
    let settings = ["fsync=on", "synchronous_commit=on"];
    let Some(server) = start(&settings) else { return };
    run(async {
        let kills = rounds("kill -9 of PostgreSQL while six agents are written to", 8, 100);
        let mut books: BTreeMap<AgentId, Book> =
            (0..AGENTS).map(|n| (id(&format!("user:{n}")), Book::default())).collect();
        let mut all_done = 0;
        for kill in 0..kills {
            let store = server.store().await;
            let (done, told) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(0));
            let mut seen = told.subscribe();
            let taken = join_all(books.into_iter().map(|(agent, book)| take(&store, agent, book))).await;
            let writers = taken.into_iter().map(|(pen, book)| write(&store, pen, book, &done, &told));
            let killer = async {
                // Another moment each time.
                let at = 20 + kill * 37 % 101;
                seen.wait_for(|done| *done >= at).await.expect("the writers write");
                server.process().kill_9();
            };
            let (written, ()) = futures_util::join!(join_all(writers), killer);
            books = written.into_iter().collect();
            all_done += done.load(Ordering::Relaxed);
            server.process().again();
        }
        let store = server.store().await;
        for (agent, mut book) in books {
            Pen::take(&store, &agent).await;
            book.settle(&agent, all(&store, &agent).await);
            assert!(store.check(&agent).await.expect("it is whole").is_some_and(|report| report.head.0 > 0));
        }
        println!("{all_done} appends acknowledged in {kills} lives of the server");
    });
}
