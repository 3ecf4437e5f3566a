//! A server process on a directory of its own, and what tests ask of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes long; a test that waits longer has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A `kode serve --demo` on a port of its own.
pub(crate) struct Server {
    child: Mutex<Child>,
    pub(crate) base: String,
    http: reqwest::Client,
}

/// The command, with nothing of the caller's environment that would change what it does.
pub(crate) fn kode(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kode"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("KODE_") || name.starts_with("OTEL_") || name.contains("API_KEY")
        }) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the command to its end.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    kode(dir, args).output().expect("the kode binary was built with this test")
}

/// The same with these variables.
pub(crate) fn run_with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    kode(dir, args).envs(env.iter().copied()).output().expect("the kode binary was built with this test")
}

impl Server {
    /// Starts one on a directory; its store and workspace are the defaults below it.
    pub(crate) fn start(dir: &TempDir) -> Self {
        Self::start_with(dir.path(), &[])
    }

    /// Starts one where another one listened.
    pub(crate) fn start_at(dir: &TempDir, base: &str) -> Self {
        let address = base.trim_start_matches("http://");
        Self::launch(kode(dir.path(), &["serve", "--demo", "--listen", address]), |_| {})
    }

    pub(crate) fn start_with(dir: &Path, more: &[&str]) -> Self {
        Self::start_with_log(dir, more, |_| {})
    }

    /// The same; every line of its log is handed over.
    pub(crate) fn start_with_log(dir: &Path, more: &[&str], log: impl Fn(&str) + Send + 'static) -> Self {
        let args: Vec<&str> =
            ["serve", "--demo", "--listen", "127.0.0.1:0"].iter().chain(more).copied().collect();
        Self::launch(kode(dir, &args), log)
    }

    /// Starts one with these variables, which logs all that there is to log.
    pub(crate) fn start_talkative(
        dir: &Path,
        env: &[(&str, &str)],
        log: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let mut command = kode(dir, &["serve", "--demo", "--listen", "127.0.0.1:0"]);
        command.envs(env.iter().copied()).env("RUST_LOG", "trace");
        Self::launch(command, log)
    }

    /// Starts one that asks a GLM at this base, with this key; every line of its log is handed over.
    pub(crate) fn start_with_glm(
        dir: &TempDir,
        base_url: &str,
        key: &str,
        log: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let mut command = kode(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
        command.env("KODE_GLM_BASE_URL", base_url).env("ZHIPUAI_API_KEY", key);
        Self::launch(command, log)
    }

    /// Starts one with these variables and no demo; every line of its log is handed over.
    pub(crate) fn start_in(dir: &Path, env: &[(&str, &str)], log: impl Fn(&str) + Send + 'static) -> Self {
        let mut command = kode(dir, &["serve", "--listen", "127.0.0.1:0"]);
        command.envs(env.iter().copied());
        Self::launch(command, log)
    }

    pub(crate) fn launch(mut command: Command, log: impl Fn(&str) + Send + 'static) -> Self {
        if !command.get_envs().any(|(name, _)| name == "RUST_LOG") {
            command.env("RUST_LOG", "info");
        }
        command.env_remove("NO_COLOR").stderr(Stdio::piped());
        let mut child = command.spawn().expect("the kode binary was built with this test");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let base = loop {
            let line = lines.next().expect("the server says where it listens").expect("stderr is text");
            log(&line);
            assert!(!line.contains('\u{1b}'), "colours in what is no terminal: {line:?}");
            if let Some(base) = line.strip_prefix("kode: listening on ") {
                break base.to_owned();
            }
        };
        // The pipe is read on, so that the server never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| log(&line)));
        Self { child: Mutex::new(child), base, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut child = self.child.lock().expect("nothing panics while it holds this lock");
        child.wait().expect("the server is a child")
    }

    /// Sends it a signal, and waits for nothing.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.lock().expect("nothing panics while it holds this lock");
        rustix::process::kill_process(Pid::from_child(&child), signal).expect("the server runs");
    }

    /// The number of the process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.lock().expect("nothing panics while it holds this lock").id()
    }

    /// Waits until it has ended by itself, and says how.
    pub(crate) async fn until_ended(&self) -> std::process::ExitStatus {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        loop {
            beat.tick().await;
            let ended = self.child.lock().expect("nothing panics while it holds this lock").try_wait();
            if let Some(status) = ended.expect("it can be asked") {
                return status;
            }
        }
    }

    /// Posts, and reads the stream that is the answer to its end.
    pub(crate) async fn post_stream(&self, path: &str, body: &Value) -> String {
        let post = self.http.post(format!("{}{path}", self.base)).header("accept", "text/event-stream");
        let answer = post.json(body).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
        tokio::time::timeout(PATIENCE, answer.text()).await.unwrap().unwrap()
    }

    /// How long it has worked on processors, in hundredths of a second.
    pub(crate) fn ticks(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.process_id())).expect("the server runs");
        // The name may have spaces; behind it are the state and 10 numbers, then the times as user and as system.
        let (_, numbers) = stat.rsplit_once(") ").expect("linux tells the name in brackets");
        numbers.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("it is a number")).sum()
    }

    /// How much memory it has that nobody else has, in KiB.
    pub(crate) fn own_memory_kb(&self) -> u64 {
        let pid = self.process_id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("linux tells it");
        line.trim().trim_end_matches(" kB").parse().expect("it is a number")
    }

    /// `kill -9`, and gone when it returns.
    pub(crate) fn kill(self) {
        self.strike();
    }

    /// The same while others still talk to it.
    pub(crate) fn strike(&self) {
        let mut child = self.child.lock().expect("nothing panics while it holds this lock");
        let _ = child.kill();
        let _ = child.wait();
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.http.post(format!("{}{path}", self.base)).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.http.delete(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    pub(crate) async fn post_raw(&self, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", content_type);
        answer(request.body(body).send().await.unwrap()).await
    }

    /// Posts, or gives up when the server dies in between.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        tried(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// The same under an idempotency key.
    pub(crate) async fn try_post_with_key(
        &self,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let post = self.http.post(format!("{}{path}", self.base)).header("idempotency-key", key);
        tried(post.json(body)).await
    }

    /// Gets, or gives up when the server dies in between.
    pub(crate) async fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        tried(self.http.get(format!("{}{path}", self.base))).await
    }

    /// Opens a stream, unless the server is dead.
    pub(crate) async fn try_stream(&self, path: &str) -> Option<reqwest::Response> {
        self.http.get(format!("{}{path}", self.base)).send().await.ok()
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    /// Reads a stream to its end.
    pub(crate) async fn stream_text(&self, path: &str) -> String {
        tokio::time::timeout(PATIENCE, async { self.stream(path).await.text().await.unwrap() }).await.unwrap()
    }

    /// All events of an agent, oldest first.
    pub(crate) async fn events(&self, agent: &str) -> Vec<Value> {
        let (status, page) = self
            .get(&format!("/api/agents/{agent}/events?since=0&limit=10000&channels=progress,control,monitor"))
            .await;
        assert_eq!(status, 200, "{page}");
        assert_eq!(page["end"], true, "the agent has more events than one page");
        page["events"].as_array().unwrap().clone()
    }

    /// Waits until an agent waits for a person.
    pub(crate) async fn until_asked(&self, agent: &str) {
        let path = format!("/api/agents/{agent}/stream?since=0&channels=control");
        let asked = async {
            let mut stream = self.stream(&path).await;
            let mut told = String::new();
            while !told.contains("permission_required") {
                told += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("the agent asks");
    }

    /// Waits until an agent is at rest with every event told.
    pub(crate) async fn until_ready(&self, agent: &str) {
        let ready = async {
            loop {
                let (_, status) = self.get(&format!("/api/agents/{agent}/status")).await;
                if status["state"] == "READY" && status["queued"] == 0 {
                    return;
                }
                // A run is under way as of that cursor: the stream behind it ends when the agent comes to rest, also
                // one that is over by now.
                let since = &status["cursor"];
                let path = format!("/api/agents/{agent}/stream?since={since}");
                let _ = self.stream(&path).await.text().await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the agent comes to rest");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.strike();
    }
}

async fn tried(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    Some((status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).ok()? }))
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (
        status,
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        },
    )
}

/// A small generator of numbers: the same seed, the same test.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
