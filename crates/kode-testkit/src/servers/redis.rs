//! A private Redis server.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{Dir, Guarded, found, free_port};

/// Ports that are tried: another process may take one before the server does.
const TRIES: usize = 5;

/// A Redis server of one's own, which keeps what it acknowledges (`appendfsync always`) unless told otherwise.
#[derive(Debug)]
pub struct RedisServer {
    // Dropped first, so that nothing writes to the directory any more.
    process: Option<Guarded>,
    settings: Vec<String>,
    port: u16,
    dir: Dir,
}

impl RedisServer {
    /// Starts one, with these settings behind the usual ones, such as `["--maxmemory", "8mb"]`; `None`, and a note of
    /// it, where there is no Redis.
    ///
    /// # Panics
    /// If it does not start; or if there is none, under CI's rules.
    #[must_use]
    pub fn start(settings: &[&str]) -> Option<Self> {
        if !found("redis-server") {
            return None;
        }
        let dir = Dir::make("redis").expect("a directory can be made");
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut server = Self { process: None, settings, port: 0, dir };
        for _ in 0..TRIES {
            server.port = free_port().expect("a port is free");
            if server.run() {
                return Some(server);
            }
        }
        panic!("redis-server does not start: {}", server.output());
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process, for those who end it while others use it.
    ///
    /// # Panics
    /// If it is not running.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("it is running").id()
    }

    /// Starts it once more on what it left, at the same place; ends it first, as `kill -9` does, if it still runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.process = None;
        assert!(self.run(), "redis-server does not start again: {}", self.output());
    }

    /// Sends one command, in words, and tells the answer as it came: for settings and states that a store does not
    /// make by itself.
    ///
    /// # Errors
    /// The connection's.
    pub fn say(&self, words: &[&str]) -> io::Result<String> {
        say(self.port, words)
    }

    fn run(&mut self) -> bool {
        let dir = self.dir.path();
        let mut args: Vec<String> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"].map(Into::into).into();
        args.extend(["--appendfsync".into(), "always".into(), "--port".into(), self.port.to_string()]);
        args.extend(["--dir".into(), dir.display().to_string()]);
        args.extend(self.settings.iter().cloned());
        let output = dir.join("output");
        let mut process =
            Guarded::start("redis-server", &args, &output).expect("redis-server can be started");
        let port = self.port;
        let ready = process.answers(|| say(port, &["PING"]).is_ok_and(|said| said.starts_with("+PONG")));
        self.process = ready.then_some(process);
        ready
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }
}

/// One command on a connection of its own, and the first piece of its answer.
fn say(port: u16, words: &[&str]) -> io::Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    connection.write_all(request.as_bytes())?;
    let mut answer = [0; 64 << 10];
    let read = connection.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
