//! The recipes of `deploy/balancer` before three nodes: they are what the programs take, streams go through them piece
//! by piece, and a node that dies takes nobody with it.

use std::time::Duration;

use kode_testkit::glm_emulator::Reply;
use kode_testkit::servers::{Dir, Guarded, found, free_port};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Backend;
use super::cluster::Cluster;
use crate::harness::PATIENCE;

/// What a recipe says, with the nodes and the port of this test in place of its own.
fn recipe(file: &str, listen: (&str, String), cluster: &Cluster) -> String {
    let path = format!("{}/../../deploy/balancer/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(text.matches(listen.0).count(), 1, "{file} listens in one place");
    text = text.replace(listen.0, &listen.1);
    for nth in 0..3 {
        let (theirs, ours) =
            (format!("10.0.0.{}:3000", nth + 1), cluster.node(nth).server.base.replace("http://", ""));
        assert_eq!(text.matches(&theirs).count(), 1, "{file} names {theirs}");
        text = text.replace(&theirs, &ours);
    }
    text
}

/// A balancer at work.
struct Balancer {
    base: String,
    _process: Guarded,
    _dir: Dir,
}

impl Balancer {
    fn nginx(cluster: &Cluster) -> Self {
        let (dir, port) = (Dir::make("nginx").unwrap(), free_port().unwrap());
        let (home, config) = (dir.path().display().to_string(), dir.path().join("nginx.conf"));
        let text = recipe("nginx.conf", ("listen 8080;", format!("listen 127.0.0.1:{port};")), cluster);
        std::fs::write(&config, text).unwrap();
        let own = format!("daemon off; pid {home}/nginx.pid; error_log stderr warn; worker_processes 1;");
        let args = ["-p", &home, "-c", &config.display().to_string(), "-g", &own].map(str::to_owned);
        Self::start("nginx", &args, port, dir)
    }

    fn haproxy(cluster: &Cluster) -> Self {
        let (dir, port) = (Dir::make("haproxy").unwrap(), free_port().unwrap());
        let config = dir.path().join("haproxy.cfg");
        let text = recipe("haproxy.cfg", ("bind :8080", format!("bind 127.0.0.1:{port}")), cluster);
        std::fs::write(&config, text).unwrap();
        let args = ["-db", "-f", &config.display().to_string()].map(str::to_owned);
        Self::start("haproxy", &args, port, dir)
    }

    fn start(program: &str, args: &[String], port: u16, dir: Dir) -> Self {
        let output = dir.path().join("output");
        let mut process = Guarded::start(program, args, &output).unwrap();
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(
            process.answers(listens),
            "{program}: {}",
            std::fs::read_to_string(&output).unwrap_or_default()
        );
        Self { base: format!("http://127.0.0.1:{port}"), _process: process, _dir: dir }
    }
}

async fn through(program: &str, start: impl Fn(&Cluster) -> Balancer) {
    if !found(program) {
        return;
    }
    let Some(backend) = Backend::redis() else { return };
    let cluster = Cluster::start(backend.url()).await;
    cluster.glm.respond(|_| Reply::text("word ".repeat(20)).pieces(20).paced(Duration::from_millis(20)));
    let balancer = start(&cluster);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |agent: String, accept: &'static str| {
        let url = format!("{}/api/agents/{agent}/messages", balancer.base);
        http.post(url).header("accept", accept).json(&json!({ "text": "talk" })).send()
    };
    // The stream of a message: its pieces come as they are made, not all at its end.
    let mut stream = post("user:1".into(), "text/event-stream").await.unwrap();
    assert_eq!(stream.status(), 200);
    let (mut text, mut came) = (String::new(), Vec::new());
    while let Some(piece) = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
        came.push(Instant::now());
    }
    assert!(text.contains("\"type\":\"done\""), "{text}");
    let spread = came[came.len() - 1].duration_since(came[0]);
    assert!(came.len() > 5 && spread > Duration::from_millis(150), "{} pieces within {spread:?}", came.len());

    // An agent's requests go to one node; agents are spread over all.
    let mut owners = std::collections::BTreeMap::<usize, u32>::new();
    for n in 0..24 {
        for _ in 0..2 {
            let answer = post(format!("user:{n}"), "application/json").await.unwrap();
            assert_eq!(answer.status(), 202);
        }
        *owners.entry(cluster.owner(&format!("user:{n}")).await.expect("somebody has it")).or_default() += 1;
    }
    assert_eq!(owners.len(), 3, "{owners:?}");

    // A node dies: its agents go on elsewhere, and their clients see at most one error.
    cluster.node(0).server.strike();
    for n in 0..24 {
        let mut answers = Vec::new();
        while answers.last() != Some(&202) {
            let answer = post(format!("user:{n}"), "application/json").await.unwrap();
            answers.push(answer.status().as_u16());
            assert!(answers.len() < 3, "user:{n}: {answers:?}");
        }
    }
    // And no client is taken for a node behind it.
    let url = format!("{}/api/agents/user:1", balancer.base);
    let looked = http.get(url).header("x-kode-proof", "00").send().await.unwrap();
    assert_eq!(looked.status(), 200);
    assert_eq!(looked.json::<Value>().await.unwrap()["agentId"], "user:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g4_the_nginx_recipe_serves_streams_and_outlives_a_node() {
    through("nginx", Balancer::nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g4_the_haproxy_recipe_serves_streams_and_outlives_a_node() {
    through("haproxy", Balancer::haproxy).await;
}
