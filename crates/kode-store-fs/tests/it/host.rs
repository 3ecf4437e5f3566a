//! What only a store of files does: the lock, modes, read-only use, damage with its place, leftovers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kode_core::id::{AgentId, Seq};
use kode_core::store::{Catalog, Checkpoints, Damage, Durability, Journal, Leases, StoreError};
use kode_store_fs::{Fit, FsStore, Report};
use kode_testkit::store_suite::checkpoints::checkpoint;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, id, step};
use kode_testkit::store_suite::run;
use tempfile::TempDir;

fn journal(dir: &TempDir, agent: &str) -> PathBuf {
    dir.path().join(agent).join("journal-1.jsonl")
}

/// Of a journal without a checkpoint.
fn report(head: u64, torn: u64) -> Report {
    Report { segments: 1, head: Seq(head), torn, format: 2, checkpoint: Fit::None }
}

/// A closed store with one agent of this many synced lines.
async fn written(lines: u32) -> (TempDir, AgentId) {
    let (dir, agent) = (tempfile::tempdir().expect("a temporary directory"), id("user:1"));
    let store = FsStore::open(dir.path()).expect("nobody else has it open");
    Pen::take(&store, &agent).await.write_steps(&store, lines).await;
    (dir, agent)
}

/// As if the node log had moved on: the journals were put on the disk, and its older files went.
fn forget_log(dir: &TempDir) {
    for file in fs::read_dir(dir.path().join(".log")).expect("a store has one") {
        fs::remove_file(file.expect("it can be listed").path()).expect("it can be removed");
    }
}

fn change_line(path: &Path, line: usize, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).expect("the journal is text");
    let lines = text.split_inclusive('\n').enumerate();
    let changed: String = lines.map(|(n, text)| if n == line { change(text) } else { text.into() }).collect();
    fs::write(path, changed).expect("the journal can be changed");
}

#[test]
fn g5_a_second_opener_is_kept_out_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = FsStore::open(dir.path()).unwrap();
    let second = FsStore::open(dir.path()).err().map(|error| error.to_string());
    let said = "the store is unavailable: the store is in use by another process; stop that one, reach it with `--server URL`, or use another store";
    assert_eq!(second.as_deref(), Some(said));
    drop(first);
    assert!(FsStore::open(dir.path()).is_ok());
}

#[test]
fn nobody_else_may_read_what_is_stored() {
    run(async {
        let (dir, agent) = (tempfile::tempdir().unwrap(), id("a"));
        let root = dir.path().join("new").join("store");
        let store = FsStore::open(&root).unwrap();
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 1).await;
        store.save_checkpoint(&pen.lease, &checkpoint(1, "x")).await.unwrap();
        let mut left = vec![root];
        while let Some(path) = left.pop() {
            let meta = fs::metadata(&path).unwrap();
            let expected = if meta.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(meta.permissions().mode() & 0o777, expected, "{}", path.display());
            if meta.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    });
}

#[test]
fn a_read_only_store_reads_beside_the_writer_and_changes_nothing() {
    run(async {
        let (dir, agent) = (tempfile::tempdir().unwrap(), id("a"));
        let writer = FsStore::open(dir.path()).unwrap();
        let mut pen = Pen::take(&writer, &agent).await;
        let entries = pen.write_steps(&writer, 3).await;
        let reader = FsStore::open_read_only(dir.path()).unwrap();
        assert_eq!(all(&reader, &agent).await, entries);
        assert_eq!(reader.head(&agent).await, Ok(Some(pen.head)));
        let refused = StoreError::Unavailable("it was opened read-only".into());
        assert_eq!(reader.acquire(&agent, HOLDER, TTL, NOW).await, Err(refused.clone()));
        let batch = pen.entries([(step(4), 1)]);
        assert_eq!(reader.append(&pen.lease, Seq(3), &batch, Durability::Synced).await, Err(refused.clone()));
        assert_eq!(reader.save_checkpoint(&pen.lease, &checkpoint(1, "x")).await, Err(refused.clone()));
        assert_eq!(reader.release(pen.lease.clone(), true).await, Err(refused.clone()));
        assert_eq!(reader.delete(pen.lease.clone()).await, Err(refused));
        pen.write_steps(&writer, 1).await;
        assert_eq!(all(&reader, &agent).await.len(), 4);
    });
}

#[test]
fn a_store_whose_making_was_cut_off_reads_as_an_empty_one() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let reader = FsStore::open_read_only(dir.path()).unwrap();
        assert_eq!(reader.unfinished().await, Ok(Vec::new()));
        assert_eq!(reader.list("", None, 10).await, Ok(Vec::new()));
        assert_eq!(reader.head(&id("a")).await, Ok(None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    });
}

#[test]
fn g7_damage_is_told_with_its_place_and_kept() {
    run(async {
        let (dir, agent) = written(4).await;
        let path = journal(&dir, "user:1");
        change_line(&path, 2, |line| line.replace("model_started", "model_starred"));
        let before = fs::read(&path).unwrap();
        let at = before.split_inclusive(|b| *b == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
        let store = FsStore::open(dir.path()).unwrap();
        let damaged = StoreError::Damaged(Damage {
            agent: agent.clone(),
            place: format!("user:1/journal-1.jsonl, byte {at}"),
            what: "the line's checksum does not hold".into(),
        });
        let read = store.read(&agent, kode_core::store::After::Seq(Seq::ZERO), 10).await;
        assert_eq!(read, Err(damaged.clone()));
        assert_eq!(store.check(&agent).await, Err(damaged));
        assert_eq!(fs::read(&path).unwrap(), before);
    });
}

#[test]
fn g1_after_a_power_loss_the_log_gives_a_journal_back_what_it_lost() {
    run(async {
        let (dir, agent) = written(5).await;
        let path = journal(&dir, "user:1");
        let whole = fs::read(&path).unwrap();
        let first = whole.split_inclusive(|b| *b == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
        for damage in [whole[..first].to_vec(), whole[..first + 30].to_vec(), {
            let mut zeros = whole.clone();
            zeros[first + 10..].fill(0);
            zeros
        }] {
            fs::write(&path, damage).unwrap();
            fs::write(dir.path().join(".log/boot"), "an earlier start of the machine").unwrap();
            let store = FsStore::open(dir.path()).unwrap();
            assert_eq!(all(&store, &agent).await.len(), 5);
            drop(store);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    });
}

#[test]
fn g7_a_damaged_log_is_refused_and_kept() {
    run(async {
        let (dir, agent) = written(5).await;
        let path = dir.path().join(".log/1.jsonl");
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let refused = FsStore::open(dir.path()).err().map(|error| error.to_string()).unwrap();
        assert!(
            refused.contains(".log/1.jsonl, byte ") && refused.contains("nothing was changed"),
            "{refused}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes);
        // As it says: without it, the store is as the journals are.
        fs::remove_file(&path).unwrap();
        assert_eq!(all(&FsStore::open(dir.path()).unwrap(), &agent).await.len(), 5);
    });
}

#[test]
fn g7_a_journal_that_lost_lines_below_a_checkpoint_is_refused() {
    run(async {
        let (dir, agent) = (tempfile::tempdir().unwrap(), id("user:1"));
        let store = FsStore::open(dir.path()).unwrap();
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 4).await;
        store.save_checkpoint(&pen.lease, &checkpoint(4, "x")).await.unwrap();
        drop(store);
        forget_log(&dir);
        change_line(&journal(&dir, "user:1"), 4, |_| String::new());
        let store = FsStore::open(dir.path()).unwrap();
        assert_eq!(
            store.load_checkpoint(&agent).await.map_err(|e| matches!(e, StoreError::Damaged(_))),
            Err(true)
        );
        assert!(matches!(store.acquire(&agent, HOLDER, TTL, NOW).await, Err(StoreError::Damaged(_))));
    });
}

#[test]
fn g7_what_was_noted_as_synced_is_damaged_and_not_torn() {
    run(async {
        for (noted, is_damage) in [(true, true), (false, false)] {
            let (dir, agent) = (tempfile::tempdir().unwrap(), id("user:1"));
            let store = FsStore::open(dir.path()).unwrap();
            let mut pen = Pen::take(&store, &agent).await;
            pen.write_steps(&store, 3).await;
            for _ in 0..if noted { 3 } else { 0 } {
                store.append(&pen.lease, Seq(3), &[], Durability::Buffered).await.unwrap();
            }
            drop(store);
            let lines = fs::read_to_string(journal(&dir, "user:1")).unwrap().lines().count();
            assert_eq!(lines, 4 + usize::from(noted), "one mark, however often it is asked for");
            change_line(&journal(&dir, "user:1"), 3, |line| line.replace("model_started", "model_starred"));
            let store = FsStore::open(dir.path()).unwrap();
            let taken = store.acquire(&agent, HOLDER, TTL, NOW).await;
            assert_eq!(matches!(taken, Err(StoreError::Damaged(_))), is_damage, "{taken:?}");
        }
    });
}

#[test]
fn a_journal_goes_on_behind_a_mark() {
    run(async {
        let (dir, agent) = (tempfile::tempdir().unwrap(), id("user:1"));
        let store = FsStore::open(dir.path()).unwrap();
        let mut pen = Pen::take(&store, &agent).await;
        for _ in 0..3 {
            pen.write_steps(&store, 2).await;
            store.append(&pen.lease, pen.head.seq, &[], Durability::Buffered).await.unwrap();
        }
        drop(store);
        let store = FsStore::open(dir.path()).unwrap();
        assert_eq!(all(&store, &agent).await.len(), 6);
        assert_eq!(store.check(&agent).await, Ok(Some(report(6, 0))));
        Pen::take(&store, &agent).await.write_steps(&store, 1).await;
        assert_eq!(all(&store, &agent).await.len(), 7);
    });
}

#[test]
fn g7_a_torn_tail_is_passed_over_by_readers_and_cut_by_the_next_writer() {
    run(async {
        let (dir, agent) = written(3).await;
        let path = journal(&dir, "user:1");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"crc\":\"0123", &[b' '; 1_988]].concat()).unwrap();
        let store = FsStore::open(dir.path()).unwrap();
        assert_eq!(all(&store, &agent).await.len(), 3);
        assert_eq!(store.check(&agent).await, Ok(Some(report(3, 2_000))));
        assert_eq!(fs::metadata(&path).unwrap().len(), whole.len() as u64 + 2_000);
        Pen::take(&store, &agent).await.write_steps(&store, 1).await;
        assert!(fs::read(&path).unwrap().starts_with(&whole));
        assert_eq!(store.check(&agent).await, Ok(Some(report(4, 0))));
    });
}

#[test]
fn g7_a_line_or_a_file_of_another_agent_is_seen() {
    run(async {
        let (dir, _) = written(3).await;
        let store = FsStore::open(dir.path()).unwrap();
        Pen::take(&store, &id("b")).await.write_steps(&store, 3).await;
        let theirs = fs::read_to_string(journal(&dir, "b")).unwrap();
        let line = theirs.split_inclusive('\n').nth(1).unwrap();
        change_line(&journal(&dir, "user:1"), 1, |_| line.into());
        fs::create_dir(dir.path().join("c")).unwrap();
        fs::write(journal(&dir, "c"), &theirs).unwrap();
        for agent in ["user:1", "c"] {
            let read = store.read(&id(agent), kode_core::store::After::Seq(Seq::ZERO), 10).await;
            assert!(matches!(read, Err(StoreError::Damaged(_))), "{agent}: {read:?}");
        }
    });
}

#[test]
fn g12_a_later_format_is_refused_and_kept() {
    run(async {
        let (dir, agent) = written(1).await;
        fs::write(dir.path().join(".kode-store"), "kode store 3\n").unwrap();
        assert!(matches!(FsStore::open(dir.path()), Err(StoreError::Incompatible(_))));
        assert!(matches!(FsStore::open_read_only(dir.path()), Err(StoreError::Incompatible(_))));
        // The one before had no log; it becomes this one.
        fs::write(dir.path().join(".kode-store"), "kode store 1\n").unwrap();
        assert_eq!(all(&FsStore::open(dir.path()).unwrap(), &agent).await.len(), 1);
    });
}

#[test]
fn a_checkpoint_that_does_not_fit_together_is_none() {
    run(async {
        let (dir, agent) = (tempfile::tempdir().unwrap(), id("a"));
        let store = FsStore::open(dir.path()).unwrap();
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 2).await;
        for name in ["messages.json", "tools.json", "todos.json", "metadata.json"] {
            store.save_checkpoint(&pen.lease, &checkpoint(1, "x")).await.unwrap();
            assert!(store.load_checkpoint(&agent).await.unwrap().is_some());
            let file = dir.path().join("a").join(name);
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&file, bytes).unwrap();
            assert_eq!(store.load_checkpoint(&agent).await, Ok(None), "{name}");
            fs::remove_file(&file).unwrap();
            assert_eq!(store.load_checkpoint(&agent).await, Ok(None), "{name}");
        }
    });
}

#[test]
fn reads_make_nothing_and_leftovers_of_a_crash_are_cleared() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        drop(FsStore::open(dir.path()).unwrap());
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let empty = names();
        for leftover in [".new-a", ".gone-b"] {
            fs::create_dir(dir.path().join(leftover)).unwrap();
            fs::write(dir.path().join(leftover).join("journal-1.jsonl"), "{").unwrap();
        }
        let store = FsStore::open(dir.path()).unwrap();
        assert_eq!(all(&store, &id("a")).await, []);
        assert_eq!(store.ready().await, Ok(()));
        assert_eq!(names(), empty);
    });
}

#[test]
fn a_line_can_be_read_by_a_person() {
    run(async {
        let (dir, _) = written(1).await;
        let text = fs::read_to_string(journal(&dir, "user:1")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["format"], &lines[0]["agent"]), (&2.into(), &"user:1".into()));
        assert_eq!(lines[1]["entries"][0]["fact"]["fact"], "model_started");
        assert!(text.lines().all(|line| line.starts_with("{\"crc\":\"")));
    });
}
