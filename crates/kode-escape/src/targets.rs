//! What there is outside to reach: told to the inside in a file, as its environment may be a clean one.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// What every file outside holds.
pub const SECRET: &str = "the secret of another";
/// A variable of the server's environment.
pub const CANARY: &str = "KODE_ESCAPE_CANARY";
/// Where the targets are told, in the work directory.
pub const FILE: &str = "targets.json";

/// What there is to reach, by paths, ids and addresses of the host's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Targets {
    /// The directory of everything that belongs to the server.
    pub base: String,
    /// A directory with one file for each attempt, named like it; no attempt takes that of another.
    pub outside: String,
    /// Another agent's work directory, with a file `secret`.
    pub other: String,
    /// The directory of the work directories.
    pub agents: String,
    /// This agent's own, by its path outside.
    pub own: String,
    /// The server's process.
    pub server: i32,
    /// Where the server's memory holds `SECRET`.
    pub memory: u64,
    /// A process of another agent.
    pub victim: i32,
    /// A descriptor of the server's that its libraries left open, of a file with `SECRET`.
    pub leaked: i32,
    /// One of the directory `outside`.
    pub leaked_dir: i32,
    /// A descriptor number in the server for `pidfd_getfd`.
    pub server_fd: i32,
    /// Ports that greet: TCP on 127.0.0.1, on ::1, and UDP on 127.0.0.1 that echoes; 0 where there is none.
    pub tcp4: u16,
    /// See `tcp4`.
    pub tcp6: u16,
    /// See `tcp4`.
    pub udp: u16,
    /// An address of the host's that is not loopback.
    pub lan: String,
    /// A port of the host's that the outside tries to reach.
    pub reached: u16,
    /// A Unix socket that greets and hands out a descriptor, and one for datagrams, by path.
    pub stream: String,
    /// See `stream`.
    pub datagram: String,
    /// The same by abstract names.
    pub abstract_stream: String,
    /// See `abstract_stream`.
    pub abstract_datagram: String,
    /// Key of System V objects.
    pub key: i32,
    /// Name of a POSIX message queue.
    pub queue: String,
    /// A file in the host's `/dev/shm`, and one in its `/tmp`.
    pub shm: String,
    /// See `shm`.
    pub tmp: String,
    /// A terminal.
    pub terminal: String,
    /// A program with the set-user-id bit of root, where one could be made.
    pub setuid: String,
    /// The device of the disk that the work directories are on.
    pub disk: String,
    /// Its numbers.
    pub disk_numbers: (u32, u32),
    /// The host's name.
    pub host: String,
    /// A network interface of the host's.
    pub interface: String,
    /// A directory of control groups that the server is not in.
    pub cgroup: String,
}

impl Targets {
    /// The file that belongs to an attempt.
    #[must_use]
    pub fn file(&self, attempt: &str) -> String {
        format!("{}/{attempt}", self.outside)
    }

    /// Reads them where the outside has put them.
    ///
    /// # Errors
    /// Where they are not there.
    pub fn load(directory: &Path) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(directory.join(FILE))?)?)
    }
}
