//! Three nodes, with their common store and files, and what clients ask of any of them.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kode_testkit::glm_emulator::GlmEmulator;
use kode_testkit::servers::free_port;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::{Dice, PATIENCE, Server, kode};

/// What all nodes of these tests show each other.
pub(super) const SECRET: &str = "what-only-nodes-know-0123456789";
/// How long a node of these tests holds an agent.
pub(super) const LEASE: Duration = Duration::from_millis(300);
/// How long a client waits for an answer before it asks another node.
const ANSWER: Duration = Duration::from_secs(4);

/// The nodes of one store.
pub(super) struct Cluster {
    pub(super) dir: TempDir,
    pub(super) glm: GlmEmulator,
    store: String,
    pub(super) nodes: Vec<Mutex<Arc<Node>>>,
    /// What each node finds in its environment, beside what all nodes of these tests do.
    env: Vec<(String, String)>,
    dice: Mutex<Dice>,
    /// What every node has logged.
    pub(super) log: Arc<Mutex<Vec<String>>>,
}

/// One node, from its start to its end.
pub(super) struct Node {
    pub(super) server: Server,
}

impl Node {
    pub(super) fn stop(&self) {
        self.server.signal(Signal::STOP);
    }

    pub(super) fn wake(&self) {
        self.server.signal(Signal::CONT);
    }

    pub(super) fn drain(&self) {
        self.server.signal(Signal::TERM);
    }
}

/// What a node is started with; tests change what must differ.
pub(super) fn command(
    dir: &std::path::Path,
    store: &str,
    glm: &GlmEmulator,
    id: &str,
    address: &str,
) -> Command {
    let mut command = kode(dir, &["serve", "--listen", address, "--store", store]);
    command
        .env("KODE_GLM_BASE_URL", glm.base_url())
        .env("ZHIPUAI_API_KEY", "testid.testsecret")
        .env("KODE_NODE_ID", id)
        .env("KODE_NODE_URL", format!("http://{address}"))
        .env("KODE_CLUSTER_SECRET", SECRET);
    if !dir.join("kode.toml").exists() {
        command.env("KODE_LEASE_MS", LEASE.as_millis().to_string());
    }
    command
}

impl Cluster {
    pub(super) async fn start(store: String) -> Self {
        Self::start_with(store, "").await
    }

    /// The same with leases that a busy machine does not lose: where nobody is to die.
    pub(super) async fn start_calm(store: String) -> Self {
        Self::start_with(store, "lease_ms = 3000\n").await
    }

    /// The same with something in `kode.toml`.
    pub(super) async fn start_with(store: String, config: &str) -> Self {
        Self::start_env(store, config, &[]).await
    }

    /// The same with something in the environment of each.
    pub(super) async fn start_env(store: String, config: &str, env: &[(&str, &str)]) -> Self {
        let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
        if !config.is_empty() {
            std::fs::write(dir.path().join("kode.toml"), config).unwrap();
        }
        let dice = Mutex::new(Dice::new(20_261_128));
        let log = Arc::default();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut cluster = Self { dir, glm, store, nodes: Vec::new(), env, dice, log };
        for nth in 0..3 {
            let address = format!("127.0.0.1:{}", free_port().unwrap());
            let node = cluster.launch(nth, &address).await;
            cluster.nodes.push(Mutex::new(Arc::new(node)));
        }
        cluster
    }

    /// On a thread of its own, since it waits for the node, and clients in the same task must not.
    async fn launch(&self, nth: usize, address: &str) -> Node {
        let id = format!("node-{nth}");
        let (log, name) = (self.log.clone(), id.clone());
        let mut command = command(self.dir.path(), &self.store, &self.glm, &id, address);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let note = move |line: &str| log.lock().unwrap().push(format!("{name}: {line}"));
        let server = tokio::task::spawn_blocking(move || Server::launch(command, note)).await.unwrap();
        Node { server }
    }

    pub(super) fn node(&self, nth: usize) -> Arc<Node> {
        self.nodes[nth].lock().unwrap().clone()
    }

    /// Starts a node that is gone where it was.
    pub(super) async fn start_again(&self, nth: usize) {
        let address = self.node(nth).server.base.trim_start_matches("http://").to_owned();
        let node = self.launch(nth, &address).await;
        *self.nodes[nth].lock().unwrap() = Arc::new(node);
    }

    pub(super) fn roll(&self, below: usize) -> usize {
        usize::try_from(self.dice.lock().unwrap().below(below as u64)).unwrap()
    }

    /// Some node, which may be dead.
    pub(super) fn some(&self) -> Arc<Node> {
        self.node(self.roll(self.nodes.len()))
    }

    /// Which node has an agent live, by what the nodes say.
    pub(super) async fn owner(&self, agent: &str) -> Option<usize> {
        for nth in 0..self.nodes.len() {
            let asked = self.node(nth);
            let path = format!("/api/agents/{agent}");
            let told = tokio::time::timeout(ANSWER, asked.server.try_get(&path));
            if let Ok(Some((200, info))) = told.await
                && info["resident"] == true
            {
                return Some(nth);
            }
        }
        None
    }

    /// Asks random nodes until one answers with something else than that it cannot now.
    pub(super) async fn until_answered(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let began = Instant::now();
        loop {
            let node = self.some();
            let asked = tokio::time::timeout(ANSWER, node.server.try_post_with_key(path, key, body));
            match asked.await {
                Ok(Some((status, answer))) if status != 503 => return (status, answer),
                answered => assert!(began.elapsed() < PATIENCE, "{path}: {answered:?}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// The same for what is only looked at.
    pub(super) async fn until_told(&self, path: &str) -> Value {
        self.told(path).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, and what is answered if it never is told.
    pub(super) async fn told(&self, path: &str) -> Result<Value, String> {
        let began = Instant::now();
        loop {
            let node = self.some();
            match tokio::time::timeout(ANSWER, node.server.try_get(path)).await {
                Ok(Some((200, told))) => return Ok(told),
                answered if began.elapsed() >= PATIENCE => return Err(format!("{path}: {answered:?}")),
                _ => tokio::task::yield_now().await,
            }
        }
    }

    /// Waits until an agent is at rest, by what any node says.
    pub(super) async fn until_ready(&self, agent: &str) {
        self.until_at_rest(agent).await.unwrap_or_else(|why| panic!("{why}"));
    }

    /// The same, and what its status is if it never is.
    pub(super) async fn until_at_rest(&self, agent: &str) -> Result<(), String> {
        let began = Instant::now();
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let status = self.told(&format!("/api/agents/{agent}/status")).await?;
            if status["state"] == "READY" && status["queued"] == 0 {
                return Ok(());
            }
            if began.elapsed() >= PATIENCE {
                return Err(format!("{agent} does not come to rest: {status}"));
            }
        }
    }

    /// How many lines of all logs hold these words.
    pub(super) fn logged(&self, words: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }
}
