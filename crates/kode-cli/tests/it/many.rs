//! Agents by the thousand: what those leave behind that were put away, and what a start costs with all of them in the
//! store.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use kode_testkit::rounds::rounds;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Server, kode};

/// Agents in memory at once: each new one has another put away.
const PLACES: &str = "64";
/// Requests under way at once.
const AT_ONCE: usize = 32;
/// Starts that are measured.
const STARTS: usize = 7;

fn serve(dir: &Path) -> Server {
    Server::start_in(dir, &[("KODE_MAX_AGENTS", PLACES), ("ZHIPUAI_API_KEY", "testid.testsecret")], |_| {})
}

/// Makes agents with these numbers; each is put away when others need its place.
async fn make(server: &Server, numbers: std::ops::Range<u64>) {
    let made = stream::iter(numbers).for_each_concurrent(AT_ONCE, |number| async move {
        let (status, made) =
            server.post("/api/agents", &json!({ "agentId": format!("user:{number}") })).await;
        assert_eq!(status, 201, "{made}");
    });
    made.await;
}

/// How long it takes until a server on each of these stores answers, at best: they take turns, and what else the machine does
/// only makes a start longer.
async fn start_times(dirs: [&Path; 2]) -> [Duration; 2] {
    let mut best = [Duration::MAX; 2];
    for _ in 0..STARTS {
        for (best, dir) in best.iter_mut().zip(dirs) {
            let began = Instant::now();
            let server = serve(dir);
            assert_eq!(server.get("/readyz").await.0, 200);
            *best = began.elapsed().min(*best);
            assert!(server.terminate().success());
        }
    }
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_agents_that_were_put_away_leave_no_memory_and_no_work_at_the_start() {
    let (few, many) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = serve(few.path());
    make(&server, 0..10).await;
    assert!(server.terminate().success());

    let count = rounds("agents made and put away", 2_000, 10_000);
    let server = serve(many.path());
    // What a server that has worked keeps for good is in memory before.
    make(&server, 0..count / 4).await;
    let before = server.own_memory_kb();
    make(&server, count / 4..count).await;
    let grown = server.own_memory_kb().saturating_sub(before);
    let (_, all) = server.get("/api/metrics").await;
    assert_eq!((&all["totalUsers"], &all["activeAgents"]), (&json!(count), &json!(64)));
    assert!(server.terminate().success());
    let [of_few, of_many] = start_times([few.path(), many.path()]).await;

    let ratio = of_many.as_secs_f64() / of_few.as_secs_f64();
    println!(
        "{count} agents made and put away: {grown} KiB more than after {}; a start takes {of_many:?} with all of them and \
         {of_few:?} with 10, {ratio:.2} times as long",
        count / 4
    );
    assert!(grown < 12 << 10, "{grown} KiB grew over {} agents", count * 3 / 4);
    assert!(ratio < 2.0, "a start takes {ratio:.2} times as long");
}

/// Shells give programs 1,024 descriptors, and more to those that ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_more_agents_are_in_memory_than_the_usual_limit_of_open_files_has_room_for() {
    let dir = TempDir::new().unwrap();
    let serve = kode(dir.path(), &["serve", "--demo", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -Sn 128; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    command.current_dir(dir.path());
    let server = Server::launch(command, |_| {});
    for nth in 0..150 {
        let (status, made) = server.post("/api/agents", &json!({ "agentId": format!("user:{nth}") })).await;
        assert_eq!(status, 201, "{nth}: {made}");
    }
    let (_, metrics) = server.get("/api/metrics").await;
    assert_eq!(metrics["activeAgents"], 150, "{metrics}");
}
