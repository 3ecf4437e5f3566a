//! Random operations: the Redis store says what the store in memory says.

use kode_core::store::memory::MemoryStore;
use kode_testkit::rounds::cases;
use kode_testkit::servers::RedisServer;
use kode_testkit::store_suite::{Clock, run, script};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::open;

/// Prefixes beside each other on one server, one for each case.
#[test]
fn redis_and_memory_say_the_same() {
    // What is written to the disk is the other tests' concern.
    let Some(server) = RedisServer::start(&["--appendfsync", "no"]) else { return };
    let cases = cases("scripts on redis beside memory", 24, 2_000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let scripts = proptest::collection::vec(any::<script::Op>(), 1..50);
    let mut number = 0..;
    let number = std::sync::Mutex::new(&mut number);
    let outcome = TestRunner::new(config).run(&scripts, |ops| {
        let case: u32 = number.lock().unwrap().next().unwrap();
        run(async {
            let store = open(&server, &format!("prefix=case-{case}&durability=none&connections=1")).await;
            assert!(script::run(&MemoryStore::new(), &store, Clock::Stores, &ops).await > 0);
        });
        Ok(())
    });
    outcome.unwrap();
}
