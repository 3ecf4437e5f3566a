//! The machine's own limits: what each workload cannot do without, done by as little as will do it. They follow the
//! contract as the workloads do, so that each is measured in a process of its own in the same run. Nothing of kode is
//! in here.

mod bare;
mod names;
mod reading;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::contract::Params;

/// Measures one of them; `None` for what is none.
pub(crate) async fn run(limit: &str, params: &Params) -> anyhow::Result<Option<Value>> {
    Ok(Some(match limit {
        "bare" => bare::turns(params).await?,
        "names" => names::make(params)?,
        "channel" => channel(params).await?,
        "scan" => reading::scan(params)?,
        "files" => reading::files(params)?,
        _ => return Ok(None),
    }))
}

/// One sender, `subs` receivers, `n` events shared by all: a channel and nothing more.
async fn channel(params: &Params) -> anyhow::Result<Value> {
    let (subs, n) = (params.number("subs", 1_000)?, params.number("n", 1_000)?);
    let (sender, _) = broadcast::channel::<Arc<str>>(n);
    let readers: Vec<_> = (0..subs).map(|_| sender.subscribe()).collect();
    let begun = Instant::now();
    let readers = readers.into_iter().map(|mut reader| {
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < n && reader.recv().await.is_ok() {
                seen += 1;
            }
            seen
        })
    });
    let readers: Vec<_> = readers.collect();
    let event: Arc<str> = "x".repeat(160).into();
    for _ in 0..n {
        sender.send(event.clone())?;
        tokio::task::yield_now().await;
    }
    let mut delivered = 0;
    for reader in readers {
        delivered += reader.await?;
    }
    anyhow::ensure!(delivered == subs * n, "{delivered} of {} events came", subs * n);
    Ok(json!({ "delivered_per_s": delivered as f64 / begun.elapsed().as_secs_f64() }))
}
