//! A private Redis cluster: masters without replicas, each with its part of the slots.

use std::time::{Duration, Instant};

use super::{PATIENCE, RedisServer, free_port};

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// A Redis cluster of one's own.
#[derive(Debug)]
pub struct RedisCluster(Vec<RedisServer>);

impl RedisCluster {
    /// Starts one of so many masters; `None`, and a note of it, where there is no Redis.
    ///
    /// # Panics
    /// If it does not come about.
    #[must_use]
    pub fn start(masters: usize) -> Option<Self> {
        let mut nodes = Vec::new();
        for number in 0..masters {
            let (node, bus) = start_node()?;
            let (first, last) = (number * SLOTS / masters, (number + 1) * SLOTS / masters - 1);
            must(&node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            must(&node, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            for other in &nodes {
                meet(other, &node, &bus);
            }
            nodes.push(node);
        }
        for node in &nodes {
            until_complete(node, masters);
        }
        Some(Self(nodes))
    }

    /// Where one of it listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.0[0].url()
    }

    /// One of its masters.
    #[must_use]
    pub fn node(&self, number: usize) -> &RedisServer {
        &self.0[number]
    }
}

/// A node, and its port for other nodes.
fn start_node() -> Option<(RedisServer, String)> {
    let bus = free_port().expect("a port is free").to_string();
    let settings = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-announce-ip", "127.0.0.1"];
    Some((RedisServer::start(&settings)?, bus))
}

fn must(node: &RedisServer, words: &[&str]) {
    let said = node.say(words).expect("the node answers");
    assert_eq!(said, "+OK\r\n", "{words:?}");
}

fn meet(one: &RedisServer, other: &RedisServer, bus: &str) {
    must(one, &["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string(), bus]);
}

fn until_complete(node: &RedisServer, masters: usize) {
    let began = Instant::now();
    let complete = [
        "cluster_state:ok".to_owned(),
        format!("cluster_slots_ok:{SLOTS}"),
        format!("cluster_known_nodes:{masters}"),
    ];
    loop {
        let said = node.say(&["CLUSTER", "INFO"]).expect("the node answers");
        if complete.iter().all(|line| said.contains(line)) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the cluster does not come about: {said}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
