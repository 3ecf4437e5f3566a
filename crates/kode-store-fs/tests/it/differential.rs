//! Random operations: the file store says what the store in memory says.

use kode_core::store::memory::MemoryStore;
use kode_store_fs::FsStore;
use kode_testkit::rounds::cases;
use kode_testkit::store_suite::{Clock, run, script};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[test]
fn files_and_memory_say_the_same() {
    let cases = cases("scripts on files beside memory", 24, 2_000);
    let config = ProptestConfig { cases, ..ProptestConfig::default() };
    let scripts = proptest::collection::vec(any::<script::Op>(), 1..60);
    let outcome = TestRunner::new(config).run(&scripts, |ops| {
        let dir = tempfile::tempdir().unwrap();
        let files = FsStore::open(dir.path()).unwrap();
        run(async { assert!(script::run(&MemoryStore::new(), &files, Clock::Callers, &ops).await > 0) });
        Ok(())
    });
    outcome.unwrap();
}
