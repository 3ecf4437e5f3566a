//! `kill -9` of a process that writes: at random, and before, in and after every operation on the disk.
//!
//! The writer is this test once more, started with its role in the environment.

use std::any::Any;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::run;
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;

use super::Dice;
use super::load::{Book, Death, agents, go_on, write_for_ever, write_in_turn};
use crate::FsStore;
use crate::commit::SyncEach;
use crate::disk::{Access, Disk, DiskFile, HostDisk, Source};
use crate::store::Store;
use crate::writer::Tools;

/// The writer's role: its directory, its number, and the point at which it dies, if that is decided.
const ROLE: &str = "KODE_TEST_WRITER";

/// In memory where there is such a place: the death of a process takes nothing from the kernel, on a disk or not.
fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// The process ends here as by `kill -9`.
fn die() -> ! {
    kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
    unreachable!("nothing outlives SIGKILL");
}

/// Counts what changes the disk, and dies before, in or after one of these operations.
#[derive(Clone)]
struct Doom {
    done: Arc<AtomicUsize>,
    /// Twice the operation's number, and one more to die after it.
    point: usize,
}

impl Doom {
    fn around<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.around_write(|| {}, work)
    }

    /// `half`: what a death in the middle of the operation leaves.
    fn around_write<T>(&self, half: impl FnOnce(), work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let number = self.done.fetch_add(1, Ordering::SeqCst) * 2;
        if number == self.point {
            half();
            die();
        }
        let done = work();
        if number + 1 == self.point {
            die();
        }
        done
    }
}

/// The host's disk, on which the process dies.
struct DoomedDisk {
    disk: HostDisk,
    doom: Doom,
}

struct DoomedFile {
    file: Box<dyn DiskFile>,
    doom: Doom,
}

impl Disk for DoomedDisk {
    fn each_name(&self, dir: &str, tell: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.disk.each_name(dir, tell)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.doom.around(|| self.disk.make_dir(dir))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let open = || self.disk.open(name, access);
        let file = if access == Access::Make { self.doom.around(open) } else { open() }?;
        Ok(Box::new(DoomedFile { file, doom: self.doom.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.doom.around(|| self.disk.rename(from, to))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.doom.around(|| self.disk.remove_file(name))
    }

    fn remove_tree(&self, dir: &str) -> io::Result<()> {
        self.doom.around(|| self.disk.remove_tree(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.doom.around(|| self.disk.sync_dir(dir))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.disk.lock(name)
    }
}

impl Source for DoomedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(into, at)
    }
}

impl DiskFile for DoomedFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let half = || drop(self.file.write_at(&bytes[..bytes.len() / 2], at));
        self.doom.around_write(half, || self.file.write_at(bytes, at))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.doom.around(|| self.file.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.doom.around(|| self.file.sync())
    }
}

/// What the second process does: it writes until it dies.
async fn write(role: &str) {
    let [dir, number, point] = role.split('|').collect::<Vec<_>>()[..] else { panic!("no role: {role}") };
    let number = number.parse().unwrap();
    match point.parse() {
        Ok(point) => {
            let doom = Doom { done: Arc::default(), point };
            let disk = DoomedDisk { disk: HostDisk::open(Path::new(dir)).unwrap(), doom };
            let tools = Tools { disk: Arc::new(disk), commit: Arc::new(SyncEach) };
            let store = FsStore { store: Arc::new(Store::open(tools).unwrap()) };
            write_in_turn(&store, &agents(2), number, 3).await;
        }
        Err(_) => write_for_ever(&FsStore::open(dir).unwrap(), &agents(3), number).await,
    }
}

fn start(test: &str, dir: &Path, number: u64, point: Option<usize>) -> Child {
    let point = point.map_or("random".to_owned(), |point| point.to_string());
    let role = format!("{}|{number}|{point}", dir.display());
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(ROLE, role);
    again.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the test can be started once more")
}

/// Takes in what a writer tells until it is dead; kills it after so many acknowledgements.
fn outlive(mut writer: Child, book: &mut Book, acknowledgements: usize) {
    let mut lines = BufReader::new(writer.stdout.take().expect("stdout is piped"));
    let (mut line, mut heard) = (String::new(), 0);
    while lines.read_line(&mut line).expect("the writer tells text") > 0 {
        heard += usize::from(book.note(&line));
        if heard == acknowledgements {
            writer.kill().expect("the writer is this test's own");
        }
        line.clear();
    }
    writer.wait().expect("the writer can be waited for");
    assert_eq!(book.failed(), None);
}

/// One life in a fresh directory for each point, up to the one that no life reaches; tells how many died.
async fn die_at_every_point(number: u64, most: u64, book: &mut Book) -> u64 {
    for point in 0..most {
        let dir = quick_dir();
        let mut fresh = Book::new(Death::Process, &agents(2));
        fresh.begin(number);
        outlive(start(EVERY_POINT, dir.path(), number, Some(point as usize)), &mut fresh, usize::MAX);
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
        if let Ok(role) = std::env::var(ROLE) {
            return write(&role).await;
        }
        let kills = rounds("kill -9 of the file store's writer at numbered points", 500, 5_000);
        let mut book = Book::new(Death::Process, &[]);
        let (mut done, mut lives) = (0, 0);
        while done < kills {
            done += die_at_every_point(lives, kills - done, &mut book).await;
            lives += 1;
        }
        println!(
            "{done} kills in {lives} lives, {} left a torn tail; {} acknowledged entries",
            book.torn, book.acknowledged
        );
        assert!(lives > 1, "a whole life has more points than {kills}");
        assert!(book.torn > 0, "no torn tail was exercised");
    });
}

#[test]
fn g1_g7_kill_9_of_the_writer_under_load_loses_and_doubles_nothing() {
    run(async {
        if let Ok(role) = std::env::var(ROLE) {
            return write(&role).await;
        }
        let kills = rounds("kill -9 of the file store's writer under load", 1_500, 15_000);
        let (dir, mut dice) = (quick_dir(), Dice::new(1));
        let mut book = Book::new(Death::Process, &agents(3));
        for number in 0..kills {
            book.begin(number);
            outlive(start(AT_RANDOM, dir.path(), number, None), &mut book, 1 + dice.roll(12));
            book.check(&FsStore::open_read_only(dir.path()).unwrap()).await.unwrap();
        }
        println!("{kills} kills, {} acknowledged entries: none lost, none doubled", book.acknowledged);
    });
}
