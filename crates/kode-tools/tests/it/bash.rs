//! The tools that run processes, in an agent's turns over scripted processes: scenarios 39 and 41 as far as they are
//! the tools' own.

use std::sync::Arc;
use std::time::Duration;

use kode_core::id::{AgentId, JobId};
use kode_core::message::Block;
use kode_core::sandbox::{Limit, ProcessEnd, ProcessError};
use kode_core::store::memory::MemoryStore;
use kode_core::template::Template;
use kode_core::{Agent, AgentSpec, Runtime};
use kode_testkit::processes::{Fate, Run, ScriptedProcesses};
use kode_testkit::scripted_model::{Gate, Script, ScriptedModel};
use kode_testkit::workspace::MemorySandbox;
use serde_json::{Value, json};

struct Stage {
    runtime: Runtime,
    model: Arc<ScriptedModel>,
    processes: ScriptedProcesses,
    files: Arc<MemorySandbox>,
}

impl Stage {
    fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        let processes = ScriptedProcesses::new(runs);
        Self::within(MemorySandbox::new().running(processes.clone()), processes)
    }

    fn within(files: MemorySandbox, processes: ScriptedProcesses) -> Self {
        let model = ScriptedModel::new([]);
        let template =
            Template::new("bash", "You run things.").with_tools(["bash_run", "bash_logs", "bash_kill"]);
        let files = Arc::new(files);
        let builder = Runtime::builder(Arc::new(MemoryStore::default()), model.clone(), files.clone());
        let builder = builder.tools(kode_tools::builtin()).template(template).default_model("scripted-1");
        Self { runtime: builder.build().unwrap(), model, processes, files }
    }

    async fn agent(&self, id: &str) -> Agent {
        let id = AgentId::new(id).unwrap();
        self.runtime.resume_or_create(&id, AgentSpec::default()).await.unwrap().agent
    }

    /// The agent's own processes, with the logs of its jobs.
    fn processes_of(&self, agent: &Agent) -> ScriptedProcesses {
        self.files.workspace(agent.id()).scripted().unwrap().clone()
    }

    /// What the model reads of one call, in a turn of its own.
    async fn call(&self, agent: &Agent, tool: &str, input: Value) -> Value {
        self.model.push(Script::new().call(tool, input));
        self.model.push(Script::new().text("done"));
        agent.complete("go").await.unwrap();
        let transcript = agent.view().transcript.clone();
        let result = transcript.iter().flat_map(|message| &message.content).filter_map(|block| match block {
            Block::ToolResult { content, .. } => serde_json::from_str(content).ok(),
            _ => None,
        });
        result.last().unwrap()
    }
}

#[tokio::test]
async fn a_command_gives_its_code_and_its_output() {
    let runs = [
        Run::exits(0).stdout("one\n").stderr("two\n").took(Duration::from_millis(12)),
        Run::exits(7).stdout(b"caf\xff"),
        Run::exits(0).stdout("head").dropping(100),
        Run::ends(ProcessEnd::Signaled { signal: 9 }),
        Run::ends(ProcessEnd::TimedOut).stdout("so far").took(Duration::from_secs(5)),
    ];
    let stage = Stage::new(runs);
    let agent = stage.agent("a").await;
    let call = async |input| stage.call(&agent, "bash_run", input).await;
    let told = json!({"code": 0, "stdout": "one\n", "stderr": "two\n", "durationMs": 12, "truncated": false});
    assert_eq!(call(json!({"cmd": "make"})).await, told);
    let failed = call(json!({"cmd": "make"})).await;
    assert_eq!(
        (&failed["code"], &failed["stdout"]),
        (&json!(7), &json!("caf\u{fffd}")),
        "no error of the tool"
    );
    let cut = call(json!({"cmd": "make"})).await;
    assert_eq!(cut["truncated"], true);
    assert!(cut["stdout"].as_str().unwrap().starts_with("head\n[… 100 bytes left out …]"), "{cut}");
    let killed = call(json!({"cmd": "make"})).await;
    assert_eq!((&killed["code"], &killed["signal"]), (&json!(137), &json!(9)));
    let late = call(json!({"cmd": "make", "timeout_ms": 5_000})).await;
    assert_eq!(
        (&late["code"], &late["timedOut"], &late["stdout"], &late["durationMs"]),
        (&Value::Null, &json!(true), &json!("so far"), &json!(5_000))
    );
    let timeouts: Vec<_> = stage.processes.records().iter().map(|record| record.command.timeout).collect();
    assert_eq!(timeouts[3..], [Duration::from_secs(118), Duration::from_secs(5)]);
}

#[tokio::test]
async fn a_failure_is_told_with_its_code_and_what_can_be_done() {
    let message = "more than 2,048 MiB of memory were used".to_owned();
    let runs = [
        Run::ends(ProcessEnd::OverLimit { limit: Limit::Memory, message }).stdout("allocating …\n"),
        Run::ends(ProcessEnd::Failed { message: "no shell".into() }),
        Run::refused(ProcessError::TooMany("16 commands run".into())),
        Run::refused(ProcessError::Io("the pipe broke".into())),
    ];
    let stage = Stage::new(runs);
    let agent = stage.agent("a").await;
    let mut told = Vec::new();
    for cmd in ["hog", "ls", "ls", "ls", " ", "a\0b"] {
        let failed = stage.call(&agent, "bash_run", json!({"cmd": cmd})).await;
        assert!(failed["hint"].is_string() && failed["ok"] == false, "{failed}");
        told.push(format!("{}: {}", failed["code"].as_str().unwrap(), failed["error"].as_str().unwrap()));
    }
    let expected = [
        "over_limit: more than 2,048 MiB of memory were used; the last that it wrote:\nallocating …",
        "process_failed: no shell",
        "too_many_processes: 16 commands run",
        "io: the process could not be run: the pipe broke",
        "invalid_arguments: cmd is blank",
        "invalid_arguments: cmd has a NUL in it",
    ];
    assert_eq!(told, expected);
}

/// Also for the background, where nothing is started then.
#[tokio::test]
async fn g8_without_a_sandbox_for_processes_nothing_runs_and_the_model_is_told_what_is_missing() {
    let stage = Stage::within(MemorySandbox::new(), ScriptedProcesses::new([]));
    let agent = stage.agent("a").await;
    for input in [json!({"cmd": "ls"}), json!({"cmd": "ls", "background": true})] {
        let refused = stage.call(&agent, "bash_run", input).await;
        assert_eq!(refused["code"], "sandbox_unavailable");
        assert!(
            refused["error"].as_str().unwrap().contains("files in memory have no processes"),
            "{refused}"
        );
        assert!(refused["hint"].as_str().unwrap().contains("give the workspace some"), "{refused}");
    }
    assert_eq!(agent.view().jobs.len(), 0);
}

/// Logs while it runs, each time from where the last ones ended, or from anywhere; the end, with its code.
#[tokio::test]
async fn a_background_command_is_read_while_it_runs_and_when_it_is_over() {
    let gate = Gate::default();
    let stage = Stage::new([Run::exits(3).stdout("listening\n").stderr("warned\n").holds(&gate)]);
    let agent = stage.agent("a").await;
    let started = stage.call(&agent, "bash_run", json!({"cmd": "serve", "background": true})).await;
    assert_eq!(started, json!({"shell_id": "shell_1_0"}));
    gate.arrived().await;
    let logs = async |input| stage.call(&agent, "bash_logs", input).await;
    let (shell, own) = (JobId::new("shell_1_0"), stage.processes_of(&agent));
    let first = json!({"status": "running", "stdout": "listening\n", "stderr": "warned\n", "next": 17});
    assert_eq!(logs(json!({"shell_id": shell})).await, first);
    own.write(&shell, "served one\n");
    let more = json!({"status": "running", "stdout": "served one\n", "stderr": "", "next": 28});
    assert_eq!(logs(json!({"shell_id": shell})).await, more);
    own.write(&shell, "x".repeat(40 * 1024));
    let part = logs(json!({"shell_id": shell})).await;
    assert_eq!((part["stdout"].as_str().unwrap().len(), &part["more"]), (32 * 1024, &json!(true)));
    own.forget_before(&shell, 5);
    let again = logs(json!({"shell_id": shell, "since": 0})).await;
    assert_eq!(again["dropped"], 5);
    gate.open();
    stage.processes.until(|all| all[0].fate == Fate::Ended).await;
    while agent.view().jobs[0].open() {
        tokio::task::yield_now().await;
    }
    let over = logs(json!({"shell_id": shell, "since": 28 + 40 * 1024})).await;
    assert_eq!(
        over,
        json!({"status": "exited", "code": 3, "stdout": "", "stderr": "", "next": 28 + 40 * 1024})
    );
    own.lose(&shell);
    let gone = logs(json!({"shell_id": shell})).await;
    assert_eq!(gone["note"], "what it wrote is not kept any more");
}

#[tokio::test]
async fn g8_a_kill_ends_the_command_once() {
    let gate = Gate::default();
    let stage = Stage::new([Run::exits(0).holds(&gate)]);
    let agent = stage.agent("a").await;
    stage.call(&agent, "bash_run", json!({"cmd": "serve", "background": true})).await;
    gate.arrived().await;
    let kill = async || stage.call(&agent, "bash_kill", json!({"shell_id": "shell_1_0"})).await;
    assert_eq!(kill().await, json!({"killed": true, "status": "killed", "by": "model"}));
    assert_eq!(stage.processes.records()[0].fate, Fate::Dropped);
    assert_eq!(kill().await, json!({"killed": false, "status": "killed", "by": "model"}));
}

/// Another agent's shells are not there, whatever is asked of them.
#[tokio::test]
async fn g8_a_shell_of_another_agent_is_unknown() {
    let gate = Gate::default();
    let stage = Stage::new([Run::exits(0).stdout("secret").holds(&gate)]);
    let (agent, other) = (stage.agent("a").await, stage.agent("b").await);
    stage.call(&agent, "bash_run", json!({"cmd": "serve", "background": true})).await;
    gate.arrived().await;
    for tool in ["bash_logs", "bash_kill"] {
        let refused = stage.call(&other, tool, json!({"shell_id": "shell_1_0"})).await;
        assert_eq!(refused["code"], "unknown_shell", "{refused}");
        assert!(!refused.to_string().contains("secret"));
    }
    let typo = stage.call(&agent, "bash_logs", json!({"shell_id": "shell_9_9"})).await;
    assert_eq!(typo["hint"], "those there are: shell_1_0");
    assert_eq!(stage.processes.records()[0].fate, Fate::Running);
}

/// The ninth background command is refused with what can be done.
#[tokio::test]
async fn g10_background_commands_are_bounded() {
    let gate = Gate::default();
    let stage = Stage::new((0..8).map(|_| Run::exits(0).holds(&gate)));
    let agent = stage.agent("a").await;
    let start = async || stage.call(&agent, "bash_run", json!({"cmd": "serve", "background": true})).await;
    for _ in 0..8 {
        assert!(start().await["shell_id"].is_string());
    }
    let refused = start().await;
    assert_eq!(refused["code"], "too_many_shells");
    assert!(refused["hint"].as_str().unwrap().contains("bash_kill"));
}

/// What the sandbox notices during a command is told on the monitor channel.
#[tokio::test]
async fn what_is_noticed_of_a_command_is_told() {
    let stage = Stage::new([Run::exits(0).noticed("network_refused", json!({"host": "example.org"}))]);
    let agent = stage.agent("a").await;
    stage.call(&agent, "bash_run", json!({"cmd": "curl example.org"})).await;
    let mut events = agent.subscription(kode_core::id::Cursor::ZERO);
    let mut told = String::new();
    while let Some(envelope) = events.next_ready().await.unwrap() {
        told.push_str(envelope.json());
    }
    assert!(told.contains(r#""eventType":"network_refused""#) && told.contains("example.org"), "{told}");
}
