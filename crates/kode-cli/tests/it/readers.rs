//! Readers that stopped reading, by the hundred: what each costs the server, and whether others notice.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kode_testkit::glm_emulator::{GlmEmulator, Reply};
use kode_testkit::rounds::rounds;
use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Server};

/// What a stalled reader may cost.
const MOST_KB: u64 = 64;
/// The length of a flood: far more than a connection takes.
const FLOOD: usize = 1 << 20;
/// Turns of one of the others: each takes longer the more came before.
const TURNS: usize = 300;
/// What an idle server works in half a second, in hundredths of one.
const IDLE: u64 = 5;

struct Bench {
    _dir: TempDir,
    _glm: GlmEmulator,
    server: Server,
}

impl Bench {
    /// A model that says `ok`, or as much as one flood.
    async fn new() -> Self {
        let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
        glm.respond(|request| match request.last_message().to_string().contains("flood") {
            true => Reply::text("flood ".repeat(FLOOD / 6)).pieces(128),
            false => Reply::text("ok"),
        });
        let server = Server::start_with_glm(&dir, &glm.base_url(), "testid.testsecret", |_| {});
        Self { _dir: dir, _glm: glm, server }
    }

    /// One turn, to its last event.
    async fn turn(&self, agent: &str, text: &str) -> Duration {
        let began = Instant::now();
        let (status, sent) =
            self.server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": text })).await;
        assert_eq!(status, 202, "{sent}");
        let told =
            self.server.stream_text(&format!("/api/agents/{agent}/stream?since={}", sent["cursor"])).await;
        assert!(told.contains("\"done\""), "{told}");
        began.elapsed()
    }

    /// How long each turn of a new agent takes that nobody floods.
    async fn pace(&self, agent: &str) -> Vec<Duration> {
        let mut times = Vec::with_capacity(TURNS);
        for _ in 0..TURNS {
            times.push(self.turn(agent, "hello").await);
        }
        times
    }

    /// Waits until the server works no more: whoever does not read has been given all that the system takes for it.
    async fn until_idle(&self) {
        let (began, mut beat) = (Instant::now(), tokio::time::interval(Duration::from_millis(500)));
        beat.tick().await;
        let mut before = self.server.ticks();
        loop {
            beat.tick().await;
            let now = self.server.ticks();
            let worked = now - std::mem::replace(&mut before, now);
            if worked <= IDLE {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not come to rest");
        }
    }

    /// What each of so many readers weighs, in KiB, once what their coming took for moments is given back, as it is
    /// while others work.
    async fn settled_memory(&self, before: u64, readers: usize) -> u64 {
        let began = Instant::now();
        loop {
            self.turn("other", "hello").await;
            let each = self.server.own_memory_kb().saturating_sub(before) / readers as u64;
            if each < MOST_KB || began.elapsed() > PATIENCE / 2 {
                return each;
            }
        }
    }

    /// Readers of an agent who never read. Their systems take little for them.
    fn stall(&self, agent: &str, count: usize) -> Vec<TcpStream> {
        let address: SocketAddr = self.server.base.trim_start_matches("http://").parse().unwrap();
        let request =
            format!("GET /api/agents/{agent}/stream?since=0&follow=true HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let reader = |_| {
            let fd: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            sockopt::set_socket_recv_buffer_size(&fd, 4 << 10).unwrap();
            connect(&fd, &address).unwrap();
            let mut stream = TcpStream::from(fd);
            stream.write_all(request.as_bytes()).unwrap();
            stream
        };
        (0..count).map(reader).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_stalled_readers_cost_little_and_others_do_not_notice() {
    let bench = Bench::new().await;
    let agents = rounds("agents with a hundred stalled readers", 3, 20);
    let others = rounds("agents whose turns are measured beside them", 1, 10);
    let names: Vec<String> = (0..agents).map(|n| format!("flooded:{n}")).collect();
    for name in &names {
        bench.turn(name, "flood").await;
    }
    // What a server that had readers keeps for good is in memory before.
    let few = bench.stall(&names[0], 20);
    begun(&few);
    bench.until_idle().await;
    drop(few);
    bench.pace("warm").await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for other in 0..others {
        alone.extend(bench.pace(&format!("alone:{other}")).await);
    }
    let (before, mut each) = (bench.server.own_memory_kb(), 0);
    for other in 0..others {
        // Anew each time: whoever does not read for long is cut off.
        let stalled: Vec<TcpStream> = names.iter().flat_map(|name| bench.stall(name, 100)).collect();
        begun(&stalled);
        bench.until_idle().await;
        beside.extend(bench.pace(&format!("beside:{other}")).await);
        if other == 0 {
            each = bench.settled_memory(before, stalled.len()).await;
        }
    }
    let ((middle, slow), (middle_then, slow_then)) = (middle_and_slow(alone), middle_and_slow(beside));
    let ratio = |now: Duration, then: Duration| then.as_secs_f64() / now.as_secs_f64();
    println!(
        "{} stalled readers: {each} KiB each; turns of others take {:.2} of before in the middle ({middle:?}), {:.2} at the slow end ({slow:?})",
        names.len() * 100,
        ratio(middle, middle_then),
        ratio(slow, slow_then),
    );
    assert!(each < MOST_KB, "{each} KiB each");
    let metrics = bench.server.stream_text("/metrics").await;
    let cut = metrics.lines().find_map(|line| line.strip_prefix("kode_slow_readers_total "));
    assert_eq!(cut.unwrap_or("0"), "0", "readers that were cut off cost nothing any more");
    assert!(ratio(middle, middle_then) < 3.0, "others notice: {middle:?} before, {middle_then:?} then");
    // Of a few hundred turns the slowest three are chance.
    let slow_matters = others > 1;
    assert!(
        !slow_matters || ratio(slow, slow_then) < 2.0,
        "others notice: {slow:?} before, {slow_then:?} then"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_many_readers_of_one_agent_share_one_copy_of_its_events() {
    let bench = Bench::new().await;
    bench.turn("alone", "flood").await;
    // They wait before there is anything to read, and stop reading with the first of it.
    bench.turn("watched", "hello").await;
    let before = bench.server.own_memory_kb();
    let stalled = bench.stall("watched", 544);
    begun(&stalled);
    bench.turn("watched", "flood").await;
    let each = bench.server.own_memory_kb().saturating_sub(before) / stalled.len() as u64;
    let copies = each as f64 * 1024.0 / FLOOD as f64;
    println!("{} readers of one agent: {each} KiB each, {copies:.3} of what was told to each", stalled.len());
    assert!(copies < 0.1, "{copies} copies for each reader");
}

/// The middle of some times, and one of a hundred.
fn middle_and_slow(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Returns once each has got the beginning of its stream.
fn begun(readers: &[TcpStream]) {
    for mut reader in readers {
        reader.read_exact(&mut [0]).unwrap();
    }
}
