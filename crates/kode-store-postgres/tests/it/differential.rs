//! Random operations: the PostgreSQL store says what the store in memory says.

use std::sync::atomic::{AtomicU32, Ordering};

use kode_core::store::memory::MemoryStore;
use kode_testkit::rounds::cases;
use kode_testkit::store_suite::{Clock, run, script};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::server::start;

/// Schemas beside each other in one database, one for each case.
#[test]
fn postgres_and_memory_say_the_same() {
    let Some(server) = start(&[]) else { return };
    let cases = cases("scripts on postgres beside memory", 24, 2_000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let scripts = proptest::collection::vec(any::<script::Op>(), 1..50);
    let number = AtomicU32::new(0);
    let outcome = TestRunner::new(config).run(&scripts, |ops| {
        let case = number.fetch_add(1, Ordering::Relaxed);
        run(async {
            let store = server.store_with(&format!("schema=case_{case}&connections=1")).await;
            assert!(script::run(&MemoryStore::new(), &store, Clock::Stores, &ops).await > 0);
            server.sql(&format!("DROP SCHEMA case_{case} CASCADE")).await;
        });
        Ok(())
    });
    outcome.unwrap();
}
