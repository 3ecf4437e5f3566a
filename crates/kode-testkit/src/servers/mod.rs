//! Private servers for tests of stores: each with a directory and a port of its own, gone with the test, however it
//! ends. A server that the machine does not have is a skip that is noted, and under `CI=true` a failure.
//!
//! What never belongs here: installing (that is `cargo xtask test`'s), and a server that anyone else uses.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::rounds::skipped;

pub use postgres::{PostgresServer, TransactionProxy};
pub use redis::RedisServer;
pub use redis_cluster::RedisCluster;

mod postgres;
mod redis;
mod redis_cluster;

/// The longest that a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a program is there, by its name or its path; if not, notes that what needs it is skipped.
///
/// # Panics
/// If it is not there and `CI` is set: CI skips nothing.
pub fn found(program: &str) -> bool {
    let there = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !there {
        let why = format!("no {program} is found; `cargo xtask test` installs it where it may");
        let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        assert!(!ci, "CI skips nothing: {why}");
        skipped(&format!("tests on {program}"), &why);
    }
    there
}

/// A port of 127.0.0.1 that was free a moment ago. It is below those that the system gives to connections: one of them
/// could take the place of a server that is down for a moment, even one that tries to reach that very server.
///
/// # Errors
/// None is free.
pub fn free_port() -> io::Result<u16> {
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 17_000;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Processes begin far apart, so that they seldom try the same one at the same moment.
    let begin = std::process::id().wrapping_mul(97).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
    let ports = (0..COUNT).map(|offset| FIRST + (begin.wrapping_add(offset)) % COUNT);
    let mut free = ports.filter_map(|port| u16::try_from(port).ok());
    free.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).ok_or(io::ErrorKind::AddrInUse.into())
}

/// A directory that goes with this value.
#[derive(Debug)]
pub struct Dir(PathBuf);

impl Dir {
    /// Makes an empty one.
    ///
    /// # Errors
    /// The system's.
    pub fn make(what: &str) -> io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("kode-{what}-{}-{number}", std::process::id()));
        // One of an earlier process of the same number.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed when this value is dropped, and when the thread that started it is gone.
#[derive(Debug)]
pub struct Guarded(Child);

impl Guarded {
    /// Starts a program without input, its output in a file.
    ///
    /// # Errors
    /// The system's.
    pub fn start(program: &str, args: &[String], output: &Path) -> io::Result<Self> {
        let output = std::fs::File::create(output)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(args);
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        command.spawn().map(Self)
    }

    /// Kills it with a signal that it cannot catch, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself, and then it is gone as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits until it answers; `false` if it ended before.
    ///
    /// # Panics
    /// If it does neither for long.
    #[must_use]
    pub fn answers(&mut self, probe: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if probe() {
                return true;
            }
            if !matches!(self.0.try_wait(), Ok(None)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("a private server does not answer");
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}
