//! W8: the turns of W2 over HTTP and server-sent events. `w8serve` is the server that is measured, whoever loads it; `w8`
//! loads one of a program like this one.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::Context as _;
use kode_pool::{Pool, PoolOptions};
use kode_server::{App, ServerConfig, router, serve_router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Answer, Client};
use super::host;
use super::params::Params;
use super::usage::Usage;
use crate::{median, quantile};

/// Agents in memory at once: more than any load has users.
const AGENTS: usize = 10_000;

/// Serves until the process ends; tells its port first.
pub(crate) async fn serve(params: &Params) -> anyhow::Result<Value> {
    let (n, d) = (params.number("n", 50)?, params.number("d", 0)?);
    let (runtime, _store) = host::runtime(&params.dir()?, &host::base(params.text("llm")?, n, d, false))?;
    let pool = Pool::new(runtime, PoolOptions { max_agents: AGENTS, ..PoolOptions::default() });
    let port = u16::try_from(params.number("port", 0)?)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("{}", json!({ "ready": true, "port": listener.local_addr()?.port() }));
    let (config, shutdown) = (ServerConfig::default(), CancellationToken::new());
    let begun = Usage::now()?;
    let stats = tower::service_fn(move |_| {
        let report = begun.since().and_then(|spent| spent.report(&json!({})));
        let status = if report.is_ok() { 200 } else { 500 };
        let body = report.unwrap_or_else(|error| json!({ "error": error.to_string() })).to_string();
        let answer = http::Response::builder().status(status).body(body).expect("a status and a body");
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let router =
        router(App::new(pool, config.clone(), shutdown.clone())).route_service("/bench/stats", stats);
    serve_router(listener, router, config, shutdown).await?;
    Ok(json!({}))
}

/// `c` users of `k` turns each, all at once, against a server in a process of its own.
pub(crate) async fn answer(params: &Params) -> anyhow::Result<Value> {
    let (c, k, warm) = (params.number("c", 100)?, params.number("k", 20)?, params.number("warm", 2)?);
    let program =
        params.text("program").map_or_else(|_| std::env::current_exe(), |path| Ok(PathBuf::from(path)))?;
    let (_server, port) = start(&program, params).await?;
    let mut clients = Vec::with_capacity(c);
    for number in 0..c {
        clients.push(Client::connect(port, format!("{number}")).await?);
    }
    let (clients, _) = all(clients, warm).await?;
    let (before, begun) = (Client::stats(port).await?, Instant::now());
    let (_clients, answers) = all(clients, k).await?;
    let (wall, after) = (begun.elapsed().as_secs_f64(), Client::stats(port).await?);
    let spent =
        |field: &str| after[field].as_f64().unwrap_or_default() - before[field].as_f64().unwrap_or_default();
    let (count, sum) =
        (answers.len() as f64, |what: fn(&Answer) -> usize| answers.iter().map(what).sum::<usize>() as f64);
    let times = |what: fn(&Answer) -> f64| answers.iter().map(what).collect::<Vec<_>>();
    Ok(json!({
        "wall_s": wall,
        "turns_per_s": count / wall,
        "events_per_turn": sum(|answer| answer.events) / count,
        "chars_per_turn": sum(|answer| answer.chars) / count,
        "p50_ms": median(times(|answer| answer.ms)),
        "p99_ms": quantile(times(|answer| answer.ms), 0.99),
        "first_p50_ms": median(times(|answer| answer.first_ms)),
        "first_p99_ms": quantile(times(|answer| answer.first_ms), 0.99),
        "cpu_ms_per_turn": (spent("cpu_user_s") + spent("cpu_sys_s")) * 1e3 / count,
        "peak_rss_kb": after["peak_rss_kb"],
    }))
}

/// Starts the server and waits for its word.
async fn start(program: &std::path::Path, params: &Params) -> anyhow::Result<(Child, u16)> {
    let mut server = Command::new(program)
        .args([
            "w8serve",
            "port=0",
            &format!("llm={}", params.text("llm")?),
            &format!("dir={}", params.text("dir")?),
        ])
        .args([format!("n={}", params.number("n", 50)?), format!("d={}", params.number("d", 0)?)])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the server does not start")?;
    let mut lines = BufReader::new(server.stdout.take().context("its output was asked for")?).lines();
    let line = lines.next_line().await?.context("the server ended before it was ready")?;
    let ready: Value = serde_json::from_str(&line)?;
    let port = ready["port"].as_u64().context("it tells its port")?;
    Ok((server, u16::try_from(port)?))
}

/// Some turns of all users at once.
async fn all(clients: Vec<Client>, turns: usize) -> anyhow::Result<(Vec<Client>, Vec<Answer>)> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let mut seen = Vec::with_capacity(turns);
            for _ in 0..turns {
                seen.push(client.turn().await?);
            }
            anyhow::Ok((client, seen))
        });
    }
    let (mut clients, mut seen) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (client, answers) = done??;
        clients.push(client);
        seen.extend(answers);
    }
    Ok((clients, seen))
}
