//! Owners that die by SIGKILL, or are stopped and wake up again, while clients send and read through random nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use kode_testkit::rounds::rounds;
use serde_json::json;
use tokio::time::Instant;

use super::Backend;
use super::cluster::{Cluster, LEASE};
use super::faults::Faults;
use super::reader::{answered, assert_all, follow};
use crate::kill::script;

/// Agents at work in each round, and messages to each.
const AGENTS: u64 = 3;
const MESSAGES: u64 = 2;

/// Between two pieces of an answer.
const PACE: Duration = Duration::from_millis(15);

/// What the owner's end was, and how long nobody had its agent.
struct Death {
    failover: Duration,
    stopped: bool,
}

/// One message to each agent of a round, sent until it is accepted.
async fn send(cluster: &Cluster, agent: &str, text: &str) -> String {
    let path = format!("/api/agents/{agent}/messages");
    let (status, queued) = cluster.until_answered(&path, text, &json!({ "text": text })).await;
    assert_eq!(status, 202, "{text}: {queued}");
    queued["messageId"].as_str().unwrap().to_owned()
}

/// Clients at work, and in the midst of it the end of the node that has the first agent.
async fn round(cluster: &Cluster, nth: u64, faults: &mut Faults) -> Option<Death> {
    let agents: Vec<String> = (0..AGENTS).map(|n| format!("user:{nth}:{n}")).collect();
    let first = &agents[0];
    let mut sent = BTreeMap::from([(format!("work {nth}.first"), (first.clone(), String::new()))]);
    let text = format!("work {nth}.first");
    sent.get_mut(&text).unwrap().1 = send(cluster, first, &text).await;
    let texts: Vec<(String, String)> = agents
        .iter()
        .flat_map(|agent| (0..MESSAGES).map(move |n| (agent.clone(), format!("work {nth}.{agent}.{n}"))))
        .collect();
    let sending = join_all(texts.iter().map(|(agent, text)| async move {
        (text.clone(), (agent.clone(), send(cluster, agent, text).await))
    }));
    let reading = follow(cluster, first, |events| answered(events) > usize::try_from(MESSAGES).unwrap());
    let dying = end_of_owner(cluster, first, nth);
    let (accepted, seen, death) = tokio::join!(sending, reading, dying);
    sent.extend(accepted);
    for agent in &agents {
        let checked = match cluster.until_at_rest(agent).await {
            Ok(()) => faults.check(cluster, agent, &of(&sent, agent)).await,
            restless => restless,
        };
        faults.broken.extend(checked.err());
    }
    // A reader is held against a journal that is one.
    if *faults == Faults::default() {
        assert_all(cluster, first, &seen).await;
    }
    death
}

/// Ends the node that has the agent once its turn has begun, and measures until another one takes something for it.
async fn end_of_owner(cluster: &Cluster, agent: &str, nth: u64) -> Option<Death> {
    let owner = cluster.owner(agent).await?;
    let events = cluster.roll(30);
    follow(cluster, agent, |seen| seen.len() > events || answered(seen) > 0).await;
    let (node, stopped) = (cluster.node(owner), nth % 2 == 1);
    if stopped {
        node.stop()
    } else {
        node.server.strike()
    }
    let began = Instant::now();
    let body = json!({ "todos": [], "version": 1_000_000 });
    // Refused by whoever has the agent, which changes nothing: so it is the agent's new node that answers.
    let path = format!("{}/api/agents/{agent}/todos", cluster.node((owner + 1) % 3).server.base);
    loop {
        let asked = reqwest::Client::builder().no_proxy().build().unwrap().put(&path).json(&body).send();
        match tokio::time::timeout(Duration::from_secs(10), asked).await {
            Ok(Ok(answer)) if answer.status() == 409 => break,
            answered => assert!(began.elapsed() < Duration::from_secs(20), "{answered:?}"),
        }
    }
    let failover = began.elapsed();
    if stopped {
        node.wake();
    } else {
        cluster.start_again(owner).await;
    }
    Some(Death { failover, stopped })
}

/// What was sent to an agent.
fn of(sent: &BTreeMap<String, (String, String)>, agent: &str) -> Vec<(String, String)> {
    let own = sent.iter().filter(|(_, (of, _))| of == agent);
    own.map(|(text, (_, id))| (text.clone(), id.clone())).collect()
}

/// What there is to tell of it.
async fn deaths(backend: Option<Backend>, name: &str) -> String {
    let Some(backend) = backend else { return format!("{name}: not here") };
    let config = format!("lease_ms = {}\n{}", LEASE.as_millis(), script::TOOLS);
    let cluster = Cluster::start_with(backend.url(), &config).await;
    script::play_slowly(&cluster.glm, PACE);
    let (mut times, mut stopped, mut faults) = (Vec::new(), 0, Faults::default());
    let rounds = rounds(&format!("owner deaths among three nodes on {name}"), 12, 200);
    for nth in 0..rounds {
        if let Some(death) = round(&cluster, nth, &mut faults).await {
            times.push(death.failover);
            stopped += usize::from(death.stopped);
        }
        if !faults.broken.is_empty() {
            break;
        }
    }
    let ran = faults.check_files(&cluster);
    assert_eq!(faults, Faults::default());
    assert_eq!(cluster.glm.violations(), Vec::<String>::new());
    times.sort();
    let (ended, elsewhere) = (times.len(), cluster.logged("goes on here"));
    // An owner may have let go just before; that is rare.
    let enough = usize::try_from(rounds).unwrap() / 3;
    assert!(stopped >= enough && ended - stopped >= enough, "{ended} owners ended, {stopped} by a stop");
    assert!(ran > ended && elsewhere > 0, "{ran} tools ran, {elsewhere} agents went on elsewhere");
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_millis();
    let told = format!(
        "{name}: {ended} owners ended; failover p50 {} ms, p99 {} ms, longest {} ms with a lease of {} ms; {ran} tools, each \
         once at most; {} writers were refused by the fence, {elsewhere} agents went on elsewhere",
        at(50),
        at(99),
        at(100),
        LEASE.as_millis(),
        cluster.logged("the store refused an append"),
    );
    assert!(times[(times.len() - 1) * 99 / 100] < Duration::from_secs(5), "{times:?}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g3_g4_g5_owners_die_and_stop_among_three_nodes_on_redis() {
    println!("{}", deaths(Backend::redis(), "redis").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g3_g4_g5_owners_die_and_stop_among_three_nodes_on_postgres() {
    println!("{}", deaths(Backend::postgres(), "postgres").await);
}
