//! The least that a turn can be: ask the model, read its answer to the end, append it to the one log of all, and go on
//! when that is on the disk. No agent, no history, no events, no readers.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::contract::{Params, Usage};
use crate::quantile;

/// The end of a chunked answer.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// What waits for the disk, and who.
type Waiting = (Vec<u8>, oneshot::Sender<()>);

/// `c` at the same time, `k` turns each, of which each reads `asks` answers.
pub(super) async fn turns(params: &Params) -> anyhow::Result<Value> {
    let (c, k, asks) = (params.number("c", 1)?, params.number("k", 10)?, params.number("asks", 1)?);
    let (n, d) = (params.number("n", 50)?, params.number("d", 0)?);
    let address = params.text("llm")?.trim_start_matches("http://").to_owned();
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"and then?"}]}"#;
    let request = format!(
        "POST /n{n}/d{d}/t0/v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let log = log(File::create(params.dir()?.join("log"))?);
    let times = c * k;
    let begin = || async {
        let mut user = User { stream: TcpStream::connect(&address).await?, log: log.clone() };
        user.stream.set_nodelay(true)?;
        user.turn(request.as_bytes(), asks).await?;
        anyhow::Ok(user)
    };
    let users = try_join_all((0..c).map(|_| begin())).await?;
    let usage = Usage::now()?;
    let users = users.into_iter().map(|mut user| {
        let request = request.clone();
        tokio::spawn(async move {
            let mut ms = Vec::with_capacity(k);
            for _ in 0..k {
                let begun = Instant::now();
                user.turn(request.as_bytes(), asks).await?;
                ms.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(ms)
        })
    });
    let users: Vec<_> = users.collect();
    let mut ms = Vec::with_capacity(times);
    for user in users {
        ms.extend(user.await??);
    }
    let spent = usage.since()?;
    let mean = ms.iter().sum::<f64>() / times as f64;
    let (p50, p99) = (quantile(ms.clone(), 0.5), quantile(ms, 0.99));
    let (turns_per_s, cpu) = (times as f64 / spent.wall, spent.cpu_ms_per(times));
    spent.report(&json!({
        "turns_per_s": turns_per_s, "mean_ms": mean, "p50_ms": p50, "p99_ms": p99, "cpu_ms_per_turn": cpu,
    }))
}

struct User {
    stream: TcpStream,
    log: mpsc::UnboundedSender<Waiting>,
}

impl User {
    async fn turn(&mut self, request: &[u8], asks: usize) -> anyhow::Result<()> {
        for _ in 0..asks {
            self.stream.write_all(request).await?;
            let mut answer = Vec::with_capacity(16 << 10);
            while !answer.ends_with(END) {
                anyhow::ensure!(self.stream.read_buf(&mut answer).await? > 0, "the stand-in hung up");
            }
            let (done, synced) = oneshot::channel();
            self.log.send((answer, done)).ok().context("the log is gone")?;
            synced.await.context("the log failed")?;
        }
        Ok(())
    }
}

/// A thread that writes what has come together, and syncs it once for all.
fn log(mut file: File) -> mpsc::UnboundedSender<Waiting> {
    let (sender, mut waiting) = mpsc::unbounded_channel::<Waiting>();
    std::thread::spawn(move || {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, usize::MAX) > 0 {
            let bytes: Vec<u8> = batch.iter().flat_map(|(bytes, _)| bytes).copied().collect();
            if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
                return;
            }
            for (_, done) in batch.drain(..) {
                let _ = done.send(());
            }
        }
    });
    sender
}
