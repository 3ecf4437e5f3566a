//! Clients that others made, against the real process: `curl`, a browser's `EventSource`, npm's `eventsource` and
//! `@microsoft/fetch-event-source`, and httpx-sse, by the scripts in `examples/clients`. Each shows every event once and
//! in order, over lost connections and lost servers, and ends when the server says that there is no more.

mod bench;
mod browser;
mod line;
mod programs;
mod told;

use serde_json::json;

use self::bench::{Bench, CLIENTS};
use self::line::Line;
use self::programs::Program;
use self::told::Shown;
use crate::harness::{Dice, PATIENCE};

/// How often each client's stream breaks off.
const CUTS: usize = 2;
/// Before that many bytes of it: fewer, over all, than a stream has before its end.
const CUT_BEFORE: u64 = 1_400;

async fn all_show(clients: &[Shown], what: &str) {
    for shown in clients {
        shown.until(what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_public_clients_outlive_a_kill_9_and_a_drain_in_mid_turn() {
    let Some(mut bench) = Bench::start(false).await else { return };
    let clients = bench.start_clients(bench.here()).await;
    bench.say(8);
    all_show(&clients, &bench.word(5)).await;

    bench.kill_and_begin_life();
    bench.say(8);
    all_show(&clients, &bench.word(5)).await;

    // A server that is told to stop tells the rest of the turn, and the next one that there is no more.
    let server = bench.server();
    let stopping = tokio::task::spawn_blocking(move || server.terminate());
    let drains = async {
        while bench.server().get("/readyz").await.0 != 503 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, drains).await.expect("it says that it drains");
    bench.say_all();
    assert!(stopping.await.unwrap().success(), "the server ends in order");
    bench.begin_life();
    bench.check(&clients, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_public_clients_with_keys_outlive_lines_cut_at_any_byte_and_a_kill_9() {
    let Some(mut bench) = Bench::start(true).await else { return };
    let mut dice = Dice::new(20_261_128);
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        let cuts = [(); CUTS].map(|()| usize::try_from(1 + dice.below(CUT_BEFORE)).unwrap());
        lines.push(Line::to(&bench.at, &cuts).await);
    }
    let addresses: Vec<_> = lines.iter().map(|line| bench.address(&line.base)).collect();
    let clients = bench.start_clients(addresses.into_iter()).await;
    bench.say(20);
    for (line, shown) in lines.iter().zip(&clients) {
        line.until_broken(shown.client).await;
    }
    all_show(&clients, &bench.word(15)).await;

    // With the server its tickets are gone: a browser's stream needs another one.
    bench.kill_and_begin_life();
    bench.say_all();
    bench.check(&clients, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_is_no_event_to_any_public_client() {
    let Some(mut bench) = Bench::start(false).await else { return };
    let clients = bench.start_clients(bench.here()).await;
    bench.say(8);
    all_show(&clients, &bench.word(5)).await;
    // It begins to listen when all of them do, so theirs comes first.
    let mut stream = bench.stream(&clients[0].agent).await;
    let mut told = String::new();
    while !told.contains("\n:") {
        let piece = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap();
        told += std::str::from_utf8(&piece.expect("the stream goes on")).unwrap();
    }
    bench.say_all();
    bench.check(&clients, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_shows_each_piece_when_it_comes() {
    let Some(mut bench) = Bench::start(false).await else { return };
    let (agent, text) = bench.agent();
    let url = format!("http://{}/api/agents/{agent}/messages", bench.at);
    let headers = ["-H", "accept: text/event-stream", "-H", "content-type: application/json"];
    let body = json!({ "text": text }).to_string();
    let args: Vec<String> =
        ["-sSN"].iter().chain(&headers).chain(&["-d", &body, &url]).map(|arg| (*arg).to_owned()).collect();
    let (teller, shown) = Shown::new("curl", &agent);
    let _curl = Program::start("curl", &args, teller, &[]);
    for nth in 0..16 {
        bench.say(1);
        shown.until(&bench.word(nth)).await;
    }
    bench.say_all();
    shown.until("\"type\":\"done\"").await;
    shown.until_ended().await;
}
