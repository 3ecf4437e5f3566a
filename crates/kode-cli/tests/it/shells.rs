//! Agents with a shell, in the real server: what becomes of commands when their turn, their agent or the server ends,
//! and of everybody else when one of them misbehaves.

use std::time::Duration;

use futures_util::future::join_all;
use kode_testkit::glm_emulator::{GlmEmulator, Reply, Request};
use kode_testkit::rounds::rounds;
use kode_testkit::survivors::{WAYS, mark, until_gone, until_marked};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{PATIENCE, Server};

const CONFIG: &str = "default_template = 'shell'\nmax_agents = 100\n\
                      [[template]]\nid = 'shell'\nsystem_prompt = 'You are a test.'\ntools = '*'\n\
                      limits = { tool_timeout_secs = 60 }\n\
                      [[template]]\nid = 'hasty'\nsystem_prompt = 'You are a test.'\ntools = '*'\n\
                      limits = { tool_timeout_secs = 1 }\n\
                      [[template]]\nid = 'small'\nsystem_prompt = 'You are a test.'\ntools = '*'\n\
                      limits = { tool_timeout_secs = 20 }\n\
                      sandbox = { memory_mib = 256, processes = 64, disk_mib = 32 }\n";

struct Bench {
    dir: TempDir,
    glm: GlmEmulator,
    server: Server,
}

/// Does what it is told: `run LINE`, `back LINE`, or a word; then it says what the tool said.
fn answer(request: &Request) -> Reply {
    let last = request.last_message();
    let text = last["content"].as_str().unwrap_or_default();
    if last["role"] == "tool" {
        return Reply::text(format!("told: {text}"));
    }
    if let Some(line) = text.strip_prefix("run ") {
        return Reply::call("bash_run", &json!({ "cmd": line }));
    }
    if let Some(line) = text.strip_prefix("back ") {
        return Reply::call("bash_run", &json!({ "cmd": line, "background": true }));
    }
    if let Some(path) = text.strip_prefix("write ") {
        return Reply::call("fs_write", &json!({ "path": path, "content": "written" }));
    }
    Reply::text("yes")
}

impl Bench {
    async fn new() -> Self {
        let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
        std::fs::write(dir.path().join("kode.toml"), CONFIG).unwrap();
        glm.respond(answer);
        let server = Self::serve(&dir, &glm);
        Self { dir, glm, server }
    }

    fn serve(dir: &TempDir, glm: &GlmEmulator) -> Server {
        Server::start_with_glm(dir, &glm.base_url(), "testid.testsecret", |_| {})
    }

    /// `kill -9`, and a new server on the same files.
    fn restart(self) -> Self {
        let Self { dir, glm, server } = self;
        server.kill();
        let server = Self::serve(&dir, &glm);
        Self { dir, glm, server }
    }

    async fn send(&self, agent: &str, template: &str, text: &str) -> Value {
        let made =
            self.server.post("/api/agents", &json!({ "agentId": agent, "templateId": template })).await;
        assert!([200, 201].contains(&made.0), "{}", made.1);
        let (status, sent) =
            self.server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": text })).await;
        assert_eq!(status, 202, "{sent}");
        sent["cursor"].clone()
    }

    /// Sends a message and gives all that its turn told.
    async fn turn(&self, agent: &str, template: &str, text: &str) -> String {
        let since = self.send(agent, template, text).await;
        let path = format!("/api/agents/{agent}/stream?since={since}&channels=progress,control,monitor");
        self.server.stream_text(&path).await
    }

    async fn interrupt(&self, agent: &str) {
        let path = format!("/api/agents/{agent}/interrupt");
        let (status, told) = self.server.post(&path, &json!({ "note": "enough" })).await;
        assert_eq!(status, 202, "{told}");
    }
}

#[tokio::test]
async fn a_command_runs_in_the_agents_work_directory_and_the_level_is_told() {
    let bench = Bench::new().await;
    let told = bench.turn("user:1", "shell", "run pwd; echo made > file; exit 3").await;
    assert!(told.contains("/work") && told.contains("\"code\":3"), "{told}");
    assert_eq!(std::fs::read_to_string(bench.dir.path().join("workspace/user:1/file")).unwrap(), "made\n");
    let level =
        ["isolated", "metered"].iter().any(|level| told.contains(&format!("\"sandbox\":\"{level}\"")));
    assert!(level, "tool_executed says the level: {told}");
    let (_, status) = bench.server.get("/api/agents/user:1/status").await;
    assert!(["isolated", "metered"].contains(&status["sandbox"]["level"].as_str().unwrap()), "{status}");
}

#[tokio::test]
async fn g8_nothing_outlives_its_time_its_interrupt_its_agent_or_the_server() {
    let mut bench = Bench::new().await;
    let rounds = rounds("commands that leave something behind, per way and end of the server", 2, 20);
    for (nth, way) in (0_u64..).zip((0..rounds).flat_map(|_| WAYS)) {
        let marks: Vec<String> = (0..5).map(|end| mark(nth * 10 + end)).collect();
        let line = |end: usize| format!("run {}\nsleep 1000", way.replace("MARK", &marks[end]));
        let agent = |end: &str| format!("user:{nth}:{end}");
        let since = bench.send(&agent("time"), "hasty", &line(0)).await;
        bench.send(&agent("stop"), "shell", &line(1)).await;
        bench.send(&agent("gone"), "shell", &line(2)).await;
        bench.send(&agent("kill"), "shell", &line(3)).await;
        bench.send(&agent("back"), "shell", &line(4).replacen("run", "back", 1)).await;
        join_all(marks.iter().skip(1).map(|mark| until_marked(mark))).await;
        bench.interrupt(&agent("stop")).await;
        until_gone(&marks[1]).await;
        assert_eq!(bench.server.delete(&format!("/api/agents/{}", agent("gone"))).await.0, 204);
        assert_eq!(kode_testkit::survivors::marked(&marks[2]), [0; 0], "gone when the delete is answered");
        let path = format!("/api/agents/{}/stream?since={since}", agent("time"));
        let told = bench.server.stream_text(&path).await;
        assert!(told.replace('\\', "").contains("\"timedOut\":true"), "{way}: {told}");
        until_gone(&marks[0]).await;
        bench = bench.restart();
        join_all(marks.iter().map(|mark| until_gone(mark))).await;
    }
}

#[tokio::test]
async fn g8_done_is_told_when_the_processes_are_gone() {
    let bench = Bench::new().await;
    for (nth, way) in WAYS.into_iter().enumerate() {
        let (mark, agent) = (mark(900_000 + nth as u64), format!("user:{nth}"));
        let since =
            bench.send(&agent, "shell", &format!("run {}\nsleep 1000", way.replace("MARK", &mark))).await;
        until_marked(&mark).await;
        bench.interrupt(&agent).await;
        let told = bench.server.stream_text(&format!("/api/agents/{agent}/stream?since={since}")).await;
        assert!(told.contains("\"interrupted\""), "{told}");
        assert_eq!(kode_testkit::survivors::marked(&mark), [0; 0], "{way}");
    }
}

#[tokio::test]
async fn g3_a_command_cut_off_by_the_servers_death_is_not_run_again_and_the_model_is_told() {
    let bench = Bench::new().await;
    let mark = mark(990_000);
    bench.send("user:1", "shell", &format!("run echo once >> ran; sleep {mark}")).await;
    until_marked(&mark).await;
    let bench = bench.restart();
    bench.server.until_ready("user:1").await;
    assert_eq!(std::fs::read_to_string(bench.dir.path().join("workspace/user:1/ran")).unwrap(), "once\n");
    let requests = bench.glm.requests();
    let last = requests.last().unwrap().last_message().to_string();
    assert!(last.contains("unknown"), "{last}");
}

#[tokio::test]
async fn a_background_command_goes_on_between_turns_and_ends_with_an_interrupt() {
    let bench = Bench::new().await;
    let mark = mark(995_000);
    let told = bench.turn("user:1", "shell", &format!("back echo ready; sleep {mark}")).await;
    assert!(told.contains("shell_id") && told.contains("job_started"), "{told}");
    until_marked(&mark).await;
    assert!(bench.turn("user:1", "shell", "hello").await.contains("yes"));
    assert_eq!(kode_testkit::survivors::marked(&mark).len(), 1, "it goes on");
    bench.interrupt("user:1").await;
    until_gone(&mark).await;
}

/// What is sent, and what the tool's result says of it.
const CULPRITS: [(&str, &[&str]); 5] = [
    ("run :(){ :|:& };: 2>/dev/null; sleep 3; echo storm over", &["storm over", "timedOut\":true", "fork"]),
    // By the kernel's word (137 is its kill), by ours, or by that of perl.
    ("run perl -e '$x .= \"a\" x 50_000_000 while 1'", &["over_limit", "\"code\":137", "Out of memory"]),
    ("run yes", &["over_limit"]),
    ("run i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; done", &["over_limit"]),
    (
        "run perl -e 'for (1..100000) { open($f[$_], \"<\", \"/dev/null\") or die \"no more files\" }'",
        &["no more files"],
    ),
];

#[tokio::test]
async fn g8_g10_while_some_misbehave_fifty_others_do_their_work() {
    let bench = Bench::new().await;
    let culprits = join_all(CULPRITS.iter().enumerate().map(async |(nth, (text, says))| {
        let told = bench.turn(&format!("bad:{nth}"), "small", text).await;
        // The model says the tool's result again; the call before it shows the command itself.
        let (_, result) = told.rsplit_once("told: ").unwrap_or_else(|| panic!("{text}: {told}"));
        let result = result.replace('\\', "");
        assert!(says.iter().any(|word| result.contains(word)), "{text}: {result}");
        assert!(told.contains("\"completed\""), "{text}: {told}");
    }));
    let others = join_all((0..50).map(async |nth| {
        let agent = format!("good:{nth}");
        for turn in 0..3 {
            let told = bench.turn(&agent, "shell", &format!("write file{turn}")).await;
            assert!(told.contains("\"completed\"") && !told.contains("tool:error"), "{told}");
        }
    }));
    let all = async { tokio::join!(culprits, others) };
    tokio::time::timeout(PATIENCE + Duration::from_secs(120), all).await.expect("nobody waits for a culprit");
    let (status, _) = bench.server.get("/healthz").await;
    assert_eq!(status, 200);
}
