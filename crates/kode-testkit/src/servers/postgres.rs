//! A PostgreSQL of a test's own: private, started in less than a second, and gone with the test however that ends.
//!
//! Its files are a copy of a cluster that is made once for each version. It listens on a port of its own on 127.0.0.1
//! and has no socket file. As root it runs as the user `postgres`, since it refuses root. What never belongs here: a
//! table, or a client.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use super::free_port;
use crate::rounds::skipped;

/// Where Debian puts the versions.
const VERSIONS: &str = "/usr/lib/postgresql";
/// A proxy that pools transactions.
const PROXY: &str = "/usr/sbin/pgbouncer";
/// Who runs the server where the test is root.
const USER: &str = "postgres";
/// Other ports that are tried when somebody else was quicker.
const ATTEMPTS: u32 = 5;
/// Nothing is synced by `initdb`: the kernel keeps what a process wrote.
const INITDB: [&str; 7] = [
    "--no-sync",
    "--auth=trust",
    "--username=kode",
    "--encoding=UTF8",
    "--locale=C",
    "--wal-segsize=1",
    "-D",
];
const USUAL: [&str; 7] = [
    "fsync=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "logging_collector=off",
    "log_min_messages=log",
    "shared_buffers=16MB",
];

/// A running server, ended when it is dropped. Should the test be killed, the kernel ends the server.
#[derive(Debug)]
pub struct PostgresServer {
    bin: PathBuf,
    home: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
}

impl PostgresServer {
    /// Starts a server with these settings, which syncs nothing unless they say so. `None`, and a note of it, where there
    /// is no PostgreSQL.
    ///
    /// # Panics
    /// If it does not start; or there is none, and this is CI, which skips nothing.
    #[must_use]
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = newest() else {
            missing("PostgreSQL", VERSIONS);
            return None;
        };
        let home = copy_of(&template(&bin));
        let settings = USUAL.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let mut made = Self { bin, home, port: 0, settings, server: None };
        made.begin();
        Some(made)
    }

    /// Where it is; the whole database is the test's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://kode@127.0.0.1:{}/postgres", self.port)
    }

    /// Has the database do something, by its own client.
    ///
    /// # Panics
    /// If it refuses.
    pub fn sql(&self, sql: &str) {
        let mut client = unprivileged(&self.bin.join("psql"), None);
        must(client.args([&self.url(), "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-c", sql]));
    }

    /// Kills the server and all of its processes in the middle of what they do. What it had handed to the kernel stays.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill_9(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        let pid = server.id();
        // Stopped first, so that it starts no other, and does not notice the first one's end.
        signal("STOP", [pid]);
        let children = children_of(pid);
        signal("KILL", children.iter().copied().chain([pid]));
        server.wait().expect("a killed process ends");
        // They are nobody's now, so nobody can wait for them; and they hold the memory that the next one asks for.
        while children.iter().any(|child| lives(*child)) {
            std::thread::yield_now();
        }
    }

    /// Ends the server in order.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        signal("INT", [server.id()]);
        server.wait().expect("a server that was told to ends");
    }

    /// Starts the server again, on the same port and with what the last one left.
    ///
    /// # Panics
    /// If it does not start, or still runs.
    pub fn again(&mut self) {
        assert!(self.server.is_none(), "the server still runs");
        self.server =
            Some(self.spawn().unwrap_or_else(|log| panic!("PostgreSQL does not start again:\n{log}")));
    }

    fn begin(&mut self) {
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            self.port = free_port().expect("a port is free");
            match self.spawn() {
                Ok(server) => return self.server = Some(server),
                Err(said) => log = said,
            }
        }
        panic!("PostgreSQL does not start:\n{log}");
    }

    /// A server that takes connections, or what it said.
    fn spawn(&self) -> Result<Child, String> {
        let mut command = unprivileged(&self.bin.join("postgres"), Some("QUIT"));
        command.arg("-D").arg(self.home.join("data")).args(["-p", &self.port.to_string()]);
        command.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        until_it_says(&mut command, "ready to accept connections")
    }

    /// Starts a proxy that gives each transaction another connection to this server. `None`, and a note, where there
    /// is none.
    ///
    /// # Panics
    /// As [`PostgresServer::start`].
    #[must_use]
    pub fn proxy(&self) -> Option<TransactionProxy> {
        let program = Path::new(PROXY);
        if !program.exists() {
            missing("PgBouncer", PROXY);
            return None;
        }
        let (home, mut said) = (own_dir(), String::new());
        for _ in 0..ATTEMPTS {
            let port = free_port().expect("a port is free");
            let settings = format!(
                "[databases]\npostgres = host=127.0.0.1 port={} user=kode\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
                 default_pool_size = 3\nmin_pool_size = 3\nserver_round_robin = 1\n",
                self.port
            );
            let file = home.join("proxy.ini");
            fs::write(&file, settings).expect("the directory is there");
            let mut command = unprivileged(program, Some("QUIT"));
            match until_it_says(command.arg(&file), "process up") {
                Ok(server) => return Some(TransactionProxy { server, home, port }),
                Err(log) => said = log,
            }
        }
        panic!("PgBouncer does not start:\n{said}");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal("QUIT", [server.id()]);
            // Nothing more can be done here for one that cannot be waited for.
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// A proxy in front of a server, ended when it is dropped.
#[derive(Debug)]
pub struct TransactionProxy {
    server: Child,
    home: PathBuf,
    port: u16,
}

impl TransactionProxy {
    /// Where it is, as [`PostgresServer::url`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://kode@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for TransactionProxy {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Starts a program and waits until it says so in its log; or gives what it said until it ended.
fn until_it_says(command: &mut Command, words: &str) -> Result<Child, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("setpriv is on every Debian");
    let log = BufReader::new(server.stderr.take().expect("it is piped"));
    let (tell, told) = mpsc::channel();
    // Read to its end, so that the server never waits for somebody who reads.
    std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
    let mut said = String::new();
    while let Ok(line) = told.recv() {
        if line.contains(words) {
            return Ok(server);
        }
        said += &format!("{line}\n");
    }
    server.wait().expect("a server without output has ended");
    Err(said)
}

/// Notes that what needs a program is skipped.
fn missing(what: &str, place: &str) {
    let why = format!("no {what} is at {place}; `cargo xtask test` installs it where it may");
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "CI skips nothing: {why}");
    skipped(&format!("tests on {what}"), &why);
}

/// The programs of the newest version.
fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten();
    let bins = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").exists());
    bins.max_by_key(|bin| version(bin).parse::<u32>().unwrap_or_default())
}

fn version(bin: &Path) -> String {
    let dir = bin.parent().and_then(Path::file_name).unwrap_or_default();
    dir.to_string_lossy().into_owned()
}

/// A program as a user that PostgreSQL accepts; with a signal that it gets when this thread ends.
fn unprivileged(program: &Path, on_death: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.args(on_death.iter().flat_map(|signal| ["--pdeathsig", signal]));
    command
        .arg("--")
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A directory into which the server's user can go. What tests left that were killed is removed.
fn base() -> PathBuf {
    let owner = fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or_default();
    let base = std::env::temp_dir().join(format!("kode-postgres-{owner}"));
    fs::create_dir_all(&base).expect("there is a directory for temporary files");
    fs::set_permissions(&base, fs::Permissions::from_mode(0o711)).expect("the directory is ours");
    for left in fs::read_dir(&base).expect("it can be read").flatten() {
        let name = left.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("run-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another test may be as quick.
            let _ = fs::remove_dir_all(left.path());
        }
    }
    base
}

/// A directory of this process's, the server's user's own.
fn own_dir() -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    let dir = base().join(format!("run-{}-{nth}", std::process::id()));
    fs::create_dir(&dir).expect("no process of this number lives");
    if is_root() {
        must(Command::new("chown").arg(USER).arg(&dir));
    }
    dir
}

/// A cluster to copy, made by the first who needs it.
fn template(bin: &Path) -> PathBuf {
    let template = base().join(format!("template-{}", version(bin)));
    if template.exists() {
        return template;
    }
    let dir = own_dir();
    let data = dir.join("data");
    must(unprivileged(&bin.join("initdb"), None).args(INITDB).arg(&data));
    match fs::rename(&dir, &template) {
        Ok(()) => {}
        // Somebody else was quicker.
        Err(_) if template.exists() => drop(fs::remove_dir_all(&dir)),
        Err(error) => panic!("{}: {error}", template.display()),
    }
    template
}

fn copy_of(template: &Path) -> PathBuf {
    let home = own_dir();
    must(unprivileged(Path::new("cp"), None).arg("-a").arg(template.join("data")).arg(home.join("data")));
    home
}

fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("it is mounted").flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| state_and_parent(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

fn lives(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z")
}

/// The third and fourth word of a process's line; the second is its name in brackets, of any signs.
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = line.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

fn signal(name: &str, pids: impl IntoIterator<Item = u32>) {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$@\"", "sh", name]).args(pids.into_iter().map(|pid| pid.to_string()));
    // One that has ended by itself needs no signal.
    let _ = kill.stderr(Stdio::null()).status();
}
