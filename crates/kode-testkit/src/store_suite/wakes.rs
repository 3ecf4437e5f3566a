//! Cases: hints that a journal moved, of stores that give any. They may be lost, so a case writes until one comes.

use std::time::Duration;

use kode_core::store::{Catalog, Journal};
use tokio::time::Instant;

use super::Bench;
use super::pen::{Pen, all, id};
use crate::wakes::heard;

/// What a store takes that gives no wakes although it says so.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// An append wakes those who watch, and so does the end of the agent.
pub async fn who_watches_is_woken_by_what_moves_a_journal<B: Bench>(bench: B) {
    let store = bench.open().await;
    let Some(mut watch) = store.watch(&id("a")) else { return };
    heard(&mut watch).await;
    let (mut pen, began) = (Pen::take(&store, &id("a")).await, Instant::now());
    loop {
        pen.write_steps(&store, 1).await;
        if tokio::time::timeout(PAUSE, watch.changed()).await.is_ok() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "no append wakes who watches");
    }
    assert!(watch.is_heard() && !all(&store, &id("a")).await.is_empty());
    loop {
        heard(&mut watch).await;
        store.delete(pen.lease).await.expect("an agent can be deleted");
        if tokio::time::timeout(PAUSE, watch.changed()).await.is_ok() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "no delete wakes who watches");
        pen = Pen::take(&store, &id("a")).await;
        pen.write_steps(&store, 1).await;
    }
    assert_eq!(store.head(&id("a")).await, Ok(None));
}

/// Each of many is woken; one that was given back and is watched again as well.
pub async fn many_agents_are_watched_at_once<B: Bench>(bench: B) {
    let store = bench.open().await;
    let agents: Vec<_> = (0..300).map(|number| id(&format!("user:{number}"))).collect();
    let watches: Option<Vec<_>> = agents.iter().map(|agent| store.watch(agent)).collect();
    let Some(mut watches) = watches else { return };
    for (agent, watch) in agents.iter().zip(&mut watches).skip(200) {
        let other = store.watch(agent).expect("it gives wakes");
        drop(std::mem::replace(watch, other));
    }
    for watch in &mut watches {
        heard(watch).await;
    }
    for (agent, watch) in agents.iter().zip(&mut watches).step_by(50) {
        let (mut pen, began) = (Pen::take(&store, agent).await, Instant::now());
        loop {
            pen.write_steps(&store, 1).await;
            if tokio::time::timeout(PAUSE, watch.changed()).await.is_ok() {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{agent} is not woken");
        }
    }
}
