//! The writer's process: the test once more, started with its role in the environment, and dead in one way or
//! another.

use std::any::Any;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kode_core::store::StoreResult;
use rustix::process::{Signal, getpid, kill_process};

use super::load::{Book, agents, write_for_ever, write_in_turn};
use super::power::{Making, no_sync};
use crate::FsStore;
use crate::commit::Commit;
use crate::disk::{Access, Disk, DiskFile, HostDisk, Source};
use crate::log::NodeLog;
use crate::store::Store;

/// The writer's role: its directory, its number, and its life.
const ROLE: &str = "KODE_TEST_WRITER";

/// How a writer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// One agent after the other, up to this point: twice the number of an operation on the disk, and one more
    /// to die after it.
    UpTo(usize),
    /// All agents at once, for ever.
    UnderLoad,
    /// The same with syncs that do nothing: the sabotage that must be noticed.
    Unsynced,
}

/// How many agents such a writer has.
pub(super) const AGENTS: usize = 3;

/// Plays the role of the writer, if this process has it.
pub(super) async fn is_the_writer() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let [dir, number, life, point] = role.split('|').collect::<Vec<_>>()[..] else {
        panic!("no role: {role}")
    };
    let (dir, number) = (HostDisk::make(Path::new(dir)).unwrap(), number.parse().unwrap());
    let open = |disk: Arc<dyn Disk>, commit: Making| FsStore::over(Store::open_with(disk, commit).unwrap());
    match life {
        "up-to" => {
            let doom = Doom { done: Arc::default(), point: point.parse().unwrap() };
            let store = open(Arc::new(DoomedDisk { disk: dir, doom }), a_log);
            write_in_turn(&store, &agents(2), number, 3).await;
        }
        "under-load" => write_for_ever(&open(Arc::new(dir), a_log), &agents(AGENTS), number).await,
        _ => write_for_ever(&open(Arc::new(dir), no_sync), &agents(AGENTS), number).await,
    }
    true
}

/// The log as it is, but for smaller files, so that they come and go while the writer lives.
fn a_log(disk: Arc<dyn Disk>) -> StoreResult<Arc<dyn Commit>> {
    Ok(Arc::new(NodeLog::open_with(disk, 16 << 10)?))
}

/// Starts a writer of this number in a directory, as the test of this name.
pub(super) fn start(test: &str, dir: &Path, number: u64, life: Life) -> Child {
    let (life, point) = match life {
        Life::UpTo(point) => ("up-to", point),
        Life::UnderLoad => ("under-load", 0),
        Life::Unsynced => ("unsynced", 0),
    };
    let mut again = again(test, &std::env::current_exe().unwrap());
    again.env(ROLE, format!("{}|{number}|{life}|{point}", dir.display())).stdout(Stdio::piped());
    again.spawn().expect("the test can be started once more")
}

/// The command that runs a test of this binary alone.
pub(super) fn again(test: &str, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture"]).stdin(Stdio::null());
    command
}

/// Takes in what a writer tells until it is dead; ends it, in the way that `end` knows, after so many
/// acknowledgements.
pub(super) fn outlive(mut writer: Child, book: &mut Book, acknowledgements: usize, end: impl Fn(&mut Child)) {
    let mut lines = BufReader::new(writer.stdout.take().expect("stdout is piped"));
    let (mut line, mut heard) = (String::new(), 0);
    while lines.read_line(&mut line).expect("the writer tells text") > 0 {
        heard += usize::from(book.note(&line));
        if heard == acknowledgements {
            book.darken();
            end(&mut writer);
            heard += 1;
        }
        line.clear();
    }
    writer.wait().expect("the writer can be waited for");
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

    fn boot(&self) -> io::Result<String> {
        self.disk.boot()
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

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.doom.around(|| self.file.allocate(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.doom.around(|| self.file.sync())
    }
}
