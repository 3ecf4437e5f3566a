//! A client that follows an agent through whichever node answers, from cursor to cursor.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::cluster::Cluster;
use crate::harness::PATIENCE;

/// How long a stream is silent before the reader tries another node: a stopped one says nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// Follows an agent from its first event until `over` says so; each event as it came, whatever node told it.
pub(super) async fn follow(cluster: &Cluster, agent: &str, over: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let (mut moved, mut events) = (Instant::now(), Vec::<Value>::new());
    while !over(&events) {
        assert!(moved.elapsed() < PATIENCE, "{agent}: {} events, and no end", events.len());
        let since = events.last().map_or(0, |event| event["cursor"].as_u64().unwrap());
        let path =
            format!("/api/agents/{agent}/stream?since={since}&follow=true&channels=progress,control,monitor");
        let node = cluster.some();
        let Ok(Some(mut stream)) = tokio::time::timeout(SILENCE, node.server.try_stream(&path)).await else {
            continue;
        };
        if stream.status() != 200 {
            tokio::task::yield_now().await;
            continue;
        }
        let mut text = String::new();
        while let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENCE, stream.chunk()).await {
            text.push_str(&String::from_utf8_lossy(&piece));
            while let Some(end) = text.find("\n\n") {
                let frame: String = text.drain(..end + 2).collect();
                let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
                if let Some(data) = data {
                    events.push(serde_json::from_str(data).unwrap());
                    moved = Instant::now();
                }
            }
            if over(&events) {
                break;
            }
        }
    }
    events
}

/// How many messages were answered: those that waited together are answered by one turn.
pub(super) fn answered(events: &[Value]) -> usize {
    let dones = events.iter().filter(|event| event["event"]["type"] == "done");
    dones.map(|done| done["event"]["messageIds"].as_array().unwrap().len()).sum()
}

/// That these are all events of the agent, once and in order, as every node tells them; but for pieces of answers that
/// the journal does not keep any more.
pub(super) async fn assert_all(cluster: &Cluster, agent: &str, seen: &[Value]) {
    let (cursors, last) = (seen.iter().map(cursor), seen.last().map_or(0, cursor));
    assert!(cursors.is_sorted_by(|a, b| a < b), "{agent}: a cursor came twice, or out of order");
    let mut seen = seen.iter();
    for told in told_until(cluster, agent, last).await.unwrap() {
        let missed = seen.by_ref().take_while(|seen| **seen != told);
        let missed: Vec<_> = missed.filter(|seen| !is_piece(seen)).collect();
        assert_eq!(
            missed,
            Vec::<&Value>::new(),
            "{agent}: nobody tells this, or what follows was not seen: {told}"
        );
    }
    let rest: Vec<_> = seen.filter(|seen| !is_piece(seen)).collect();
    assert_eq!(rest, Vec::<&Value>::new(), "{agent}: a reader saw what is not there");
}

/// All events that are kept up to a cursor.
///
/// # Errors
/// What is answered where the agent cannot be read.
pub(super) async fn told_until(cluster: &Cluster, agent: &str, last: u64) -> Result<Vec<Value>, String> {
    let mut told = Vec::<Value>::new();
    loop {
        let since = told.last().map_or(0, cursor);
        let path =
            format!("/api/agents/{agent}/events?since={since}&limit=10000&channels=progress,control,monitor");
        let page = cluster.told(&path).await?;
        let page = page["events"].as_array().unwrap();
        told.extend(page.iter().filter(|event| cursor(event) <= last).cloned());
        if page.last().is_none_or(|event| cursor(event) >= last) {
            return Ok(told);
        }
    }
}

fn cursor(event: &Value) -> u64 {
    event["cursor"].as_u64().unwrap()
}

/// Whether it is a piece of an answer, which goes once the whole answer is in a checkpoint.
fn is_piece(event: &Value) -> bool {
    event["event"]["type"].as_str().unwrap().ends_with("_chunk")
}
