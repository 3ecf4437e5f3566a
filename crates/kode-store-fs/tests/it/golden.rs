//! Journals that were written once and fold for ever: `fixtures/journals`, a directory for each set.

use std::fs;
use std::path::PathBuf;

use kode_core::fact::Entry;
use kode_store_fs::FsStore;
use kode_testkit::golden::{differs, fill, snapshot};
use kode_testkit::store_suite::run;
use serde_json::Value;

fn sets() -> Vec<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/journals");
    let sets = fs::read_dir(dir)
        .expect("sets are kept")
        .map(|entry| entry.expect("the directory can be read").path());
    sets.filter(|path| path.is_dir()).collect()
}

#[test]
fn g12_every_journal_that_was_kept_folds_to_what_it_did() {
    run(async {
        let sets = sets();
        assert!(!sets.is_empty());
        for set in sets {
            let store = FsStore::open_read_only(set.join("store")).unwrap();
            let then: Value =
                serde_json::from_str(&fs::read_to_string(set.join("expected.json")).unwrap()).unwrap();
            assert_eq!(differs(&then, &snapshot(&store).await), None, "{}", set.display());
            for agent in then.as_object().unwrap().keys() {
                let agent = kode_core::id::AgentId::new(agent.as_str()).unwrap();
                assert!(store.check(&agent).await.unwrap().is_some(), "{agent}");
            }
        }
    });
}

/// A new kind of fact is kept in a set before it is released.
#[test]
fn g12_a_set_that_is_kept_has_every_kind_of_fact_of_today() {
    run(async {
        let (dir, mut today, mut kept) = (tempfile::tempdir().unwrap(), Vec::new(), Vec::new());
        fill(std::sync::Arc::new(FsStore::open(dir.path()).unwrap())).await;
        today.extend(kinds(&dir.path().join("every:kind")));
        sets().iter().for_each(|set| kept.extend(kinds(&set.join("store/every:kind"))));
        let missing: Vec<_> = today.into_iter().filter(|kind| !kept.contains(kind)).collect();
        assert!(missing.is_empty(), "run `cargo xtask golden add NAME`: no set has {missing:?}");
    });
}

/// Another program may write a fact's name behind its other members; there it costs more and means the same.
#[test]
fn g12_the_order_of_an_entrys_members_does_not_matter() {
    let entries: Vec<Value> = sets().iter().flat_map(|set| entries(&set.join("store/every:kind"))).collect();
    assert!(!entries.is_empty());
    for entry in entries {
        let read: Entry = serde_json::from_value(entry.clone()).expect("it is an entry");
        let written = serde_json::to_string(&read).expect("it can be written");
        let sorted = serde_json::to_string(&entry).expect("it can be written");
        assert_eq!(serde_json::from_str::<Entry>(&written).expect("it is an entry"), read);
        assert_eq!(serde_json::from_str::<Entry>(&sorted).expect("it is an entry"), read);
    }
}

/// The entries of an agent's journal, with their members in the order of the alphabet.
fn entries(agent: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(agent.join("journal-1.jsonl")).expect("there is a journal");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    lines.flat_map(|line| line["entries"].as_array().cloned().unwrap_or_default()).collect()
}

/// The kinds of facts in an agent's journal.
fn kinds(agent: &std::path::Path) -> Vec<String> {
    let entries = entries(agent).into_iter();
    entries.map(|entry| entry["fact"]["fact"].as_str().expect("a fact has a name").to_owned()).collect()
}
