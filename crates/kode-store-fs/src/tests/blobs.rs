//! What survives of blobs: a death or a power cut at every operation, and a full disk.

use bytes::Bytes;
use kode_core::store::{Blobs, StoreError};
use kode_testkit::store_suite::blobs::name;
use kode_testkit::store_suite::pen::{Pen, id};
use kode_testkit::store_suite::run;

use super::Dice;
use super::power::open;
use super::sim::SimDisk;
use crate::FsStore;
use crate::disk::Disk;

async fn whole(store: &FsStore) -> Option<Bytes> {
    let read = store.read_blob(&id("a"), &name("b"), 0, usize::MAX).await.unwrap();
    read.map(|part| part.bytes)
}

fn names(disk: &SimDisk) -> Vec<String> {
    let mut names = Vec::new();
    disk.each_name("a/blobs", &mut |name| names.push(name.to_owned())).unwrap();
    names
}

/// The one before or the new one, whole; the new one, if it was acknowledged.
#[test]
fn g1_a_death_at_any_operation_leaves_a_blob_whole() {
    run(async {
        let (old, new) = (Bytes::from(vec![b'o'; 3_000]), Bytes::from(vec![b'n'; 2_000]));
        let mut died_after = 0;
        loop {
            let mut lived = false;
            for seed in 0..8 {
                let (disk, mut acknowledged) = (SimDisk::new(), None);
                let store = open(&disk);
                let mut pen = Pen::take(&store, &id("a")).await;
                pen.write_steps(&store, 1).await;
                disk.die_after(died_after);
                for bytes in [&old, &new] {
                    if store.put_blob(&pen.lease, &name("b"), bytes).await.is_ok() {
                        acknowledged = Some(bytes);
                    }
                }
                drop(store);
                if seed == 0 {
                    disk.revive()
                } else {
                    disk.lose_power(&mut Dice::new(seed))
                }
                let left = whole(&open(&disk)).await;
                let allowed = match acknowledged {
                    None => [None, Some(&old)],
                    Some(first) if *first == old => [Some(&old), Some(&new)],
                    Some(_) => [Some(&new); 2],
                };
                assert!(allowed.contains(&left.as_ref()), "died after {died_after}, seed {seed}");
                lived = acknowledged == Some(&new);
            }
            if lived {
                assert!(died_after > 10);
                return;
            }
            died_after += 1;
        }
    });
}

#[test]
fn g10_a_full_disk_keeps_the_old_blob_and_gets_its_space_back() {
    run(async {
        let disk = SimDisk::new();
        let store = open(&disk);
        let mut pen = Pen::take(&store, &id("a")).await;
        pen.write_steps(&store, 1).await;
        store.put_blob(&pen.lease, &name("b"), &"old".into()).await.unwrap();
        disk.fill_up(1_000);
        let refused = store.put_blob(&pen.lease, &name("b"), &vec![b'n'; 2_000].into()).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert_eq!(whole(&store).await, Some("old".into()));
        assert_eq!(names(&disk), ["b"]);
        pen.write_steps(&store, 1).await;
    });
}

#[test]
fn a_blob_that_a_crash_cut_off_goes_with_the_next_put() {
    run(async {
        let disk = SimDisk::new();
        let store = open(&disk);
        let mut pen = Pen::take(&store, &id("a")).await;
        pen.write_steps(&store, 1).await;
        // The directory, its name and the unnamed file; then the machine is dead.
        disk.die_after(5);
        assert!(store.put_blob(&pen.lease, &name("cut"), &"x".into()).await.is_err());
        drop(store);
        disk.revive();
        assert_eq!(names(&disk), [".cut"]);
        let store = open(&disk);
        let pen = Pen::take(&store, &id("a")).await;
        store.put_blob(&pen.lease, &name("b"), &"x".into()).await.unwrap();
        assert_eq!(names(&disk), ["b"]);
    });
}
