//! `kill -9` of a process that writes: at random, and before, in and after every operation on the disk.

use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::run;
use tempfile::TempDir;

use super::Dice;
use super::load::{Book, Death, agents, go_on};
use super::process::{AGENTS, Life, is_the_writer, outlive, start};
use crate::FsStore;

/// In memory where there is such a place: the death of a process takes nothing from the kernel, on a disk or not.
pub(super) fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// One life in a fresh directory for each point, up to the one that no life reaches; tells how many died.
async fn die_at_every_point(number: u64, most: u64, book: &mut Book) -> u64 {
    for point in 0..most {
        let dir = quick_dir();
        let mut fresh = Book::new(Death::Process, &agents(2));
        fresh.begin(number);
        let writer = start(EVERY_POINT, dir.path(), number, Life::UpTo(point as usize));
        outlive(writer, &mut fresh, usize::MAX, |_| {});
        assert_eq!(fresh.failed(), None);
        if fresh.is_over() {
            assert!(point > 100, "only {point} points were found");
            return point;
        }
        fresh.check(&FsStore::open_read_only(dir.path()).unwrap()).await.unwrap();
        go_on(&FsStore::open(dir.path()).unwrap(), &agents(2)).await;
        book.acknowledged += fresh.acknowledged;
        book.torn += fresh.torn;
    }
    most
}

const EVERY_POINT: &str =
    "tests::killed::g1_g7_kill_9_of_the_writer_at_every_point_loses_and_doubles_nothing";
const AT_RANDOM: &str = "tests::killed::g1_g7_kill_9_of_the_writer_under_load_loses_and_doubles_nothing";

#[test]
fn g1_g7_kill_9_of_the_writer_at_every_point_loses_and_doubles_nothing() {
    run(async {
        if is_the_writer().await {
            return;
        }
        let kills = rounds("kill -9 of the file store's writer at numbered points", 500, 5_000);
        let mut book = Book::new(Death::Process, &[]);
        let (mut done, mut lives) = (0, 0);
        while done < kills {
            done += die_at_every_point(lives, kills - done, &mut book).await;
            lives += 1;
        }
        println!("{done} kills in {lives} lives: {}", book.told());
        assert!(lives > 1, "a whole life has more points than {kills}");
        assert!(book.torn > 0, "no torn tail was exercised");
    });
}

#[test]
fn g1_g7_kill_9_of_the_writer_under_load_loses_and_doubles_nothing() {
    run(async {
        if is_the_writer().await {
            return;
        }
        let kills = rounds("kill -9 of the file store's writer under load", 1_500, 15_000);
        let (dir, mut dice) = (quick_dir(), Dice::new(1));
        let mut book = Book::new(Death::Process, &agents(AGENTS));
        for number in 0..kills {
            book.begin(number);
            let writer = start(AT_RANDOM, dir.path(), number, Life::UnderLoad);
            let kill =
                |writer: &mut std::process::Child| writer.kill().expect("the writer is this test's own");
            outlive(writer, &mut book, 1 + dice.roll(12), kill);
            assert_eq!(book.failed(), None);
            book.check(&FsStore::open_read_only(dir.path()).unwrap()).await.unwrap();
        }
        println!("{kills} kills: {}", book.told());
        assert!(book.acknowledged >= kills, "a life without an acknowledged entry: {}", book.told());
    });
}
