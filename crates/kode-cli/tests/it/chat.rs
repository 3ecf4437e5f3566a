//! `kode chat` in a pipe: a message a line, plain output, an exit code.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use kode_testkit::glm_emulator::{GlmEmulator, Reply};
use serde_json::Value;
use tempfile::TempDir;

use crate::agents::{assert_refused, done, server, stderr, stdout};
use crate::harness::{Server, kode, run};

/// Runs the command with these lines on its stdin.
fn told(mut command: Command, lines: impl AsRef<[u8]>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses to start reads nothing.
    let _ = child.stdin.take().unwrap().write_all(lines.as_ref());
    child.wait_with_output().unwrap()
}

fn chat(dir: &Path, more: &[&str], lines: &str) -> Output {
    told(kode(dir, &[&["chat", "--demo"], more].concat()), lines)
}

#[test]
fn each_line_is_a_message_and_the_history_is_there_again() {
    let dir = TempDir::new().unwrap();
    let said = done(&chat(dir.path(), &[], "write a.txt hi\n\nread a.txt\n"));
    let call = r#"· fs_write {"content":"hi","path":"a.txt"} → done, "#;
    assert!(said.starts_with("I write a.txt.\n") && said.contains(call), "{said}");
    assert!(said.contains("· fs_read") && said.lines().last().unwrap().contains("hi"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('>'), "plain: {said}");
    let again = done(&chat(dir.path(), &["user:local"], "/history 3\n/status\n/todos\n/usage\n"));
    assert!(again.contains("8 messages") && again.contains("· fs_read"), "{again}");
    assert!(again.contains("(no todos)") && again.contains("tokens in"), "{again}");
    let replayed = done(&run(dir.path(), &["replay", "user:local", "--json"]));
    let replayed: Value = serde_json::from_str(&replayed).unwrap();
    assert_eq!(replayed["prompt"]["messages"].as_array().unwrap().len(), 8);
    assert!(!dir.path().join(".kode/.unfinished/user:local").exists(), "it was put away");
}

/// The fork has the history and a copy of the files; what is said to it afterwards the parent does not hear.
#[test]
fn a_fork_is_talked_with_in_the_parents_place() {
    let dir = TempDir::new().unwrap();
    let lines = "write a.txt hi\n/fork user:2\nread a.txt\n/fork user:2\n/fork a b\n/fork ../x\n";
    let said = done(&chat(dir.path(), &["user:1"], lines));
    assert!(said.contains("you talk with user:2 now; user:1 stays as it is"), "{said}");
    assert!(said.contains("there is an agent user:2 already") && said.contains("no command"), "{said}");
    let rows = done(&run(dir.path(), &["agents", "ls"]));
    let messages = |id: &str| {
        let row = rows.lines().find(|row| row.starts_with(id)).unwrap();
        row.split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_eq!((messages("user:1"), messages("user:2")), ("4".to_owned(), "8".to_owned()));
    assert_eq!(std::fs::read_to_string(dir.path().join("workspace/user:2/a.txt")).unwrap(), "hi");
}

#[test]
fn nothing_is_made_before_something_is_said() {
    let dir = TempDir::new().unwrap();
    let said = done(&chat(dir.path(), &["new"], "/todos\n/interrupt\n/nonsense\n"));
    assert!(said.contains("made with your first message") && said.contains("nothing is under way"), "{said}");
    assert!(said.contains("no command"), "{said}");
    assert_eq!(done(&run(dir.path(), &["agents", "ls"])).lines().count(), 1);
}

#[tokio::test]
async fn g6_a_question_is_answered_by_the_next_line_and_outlives_a_pipe_that_ends() {
    let dir = TempDir::new().unwrap();
    server(&dir).await.kill();
    let file = dir.path().join("workspace/asks/a.txt");
    let open = chat(dir.path(), &["asks"], "");
    assert_eq!(open.status.code(), Some(1));
    assert!(stdout(&open).contains(r"\u001b[2Jhi\u{202e}") && !stdout(&open).contains('\u{1b}'));
    assert!(stderr(&open).contains("kode approve asks") && !file.exists(), "{}", stderr(&open));
    let said = done(&chat(dir.path(), &["asks"], "what?\ny go on\nwrite b.txt x\nn not now\n"));
    assert!(said.contains("y [note] allows") && file.exists(), "{said}");
    assert!(said.contains("→ denied") && said.contains("denied by local: not now"), "{said}");
    assert!(!dir.path().join("workspace/asks/b.txt").exists());
}

#[tokio::test]
async fn wrong_input_is_said_to_be_wrong() {
    let dir = TempDir::new().unwrap();
    assert_refused(&told(kode(dir.path(), &["chat"]), "hi\n"), 2, &["no model key", "--demo"]);
    assert_refused(&chat(dir.path(), &["../x"], "hi\n"), 2, &["no agent id"]);
    let unknown = chat(dir.path(), &["--template", "nope"], "hi\n");
    assert_refused(&unknown, 2, &["no template nope", "chat-assistant"]);
    let binary = told(kode(dir.path(), &["chat", "--demo"]), b"hi\xff\n");
    assert_eq!((binary.status.code(), stderr(&binary).lines().count()), (Some(1), 1));
    assert!(stderr(&binary).contains("UTF-8"), "{}", stderr(&binary));
}

#[tokio::test]
async fn a_store_in_use_is_said_in_one_line_with_a_way_on() {
    let dir = TempDir::new().unwrap();
    let _server: Server = server(&dir).await;
    assert_refused(&chat(dir.path(), &[], "hi\n"), 1, &["in use by another process", "use another store"]);
    let other = done(&chat(dir.path(), &["--store", "fs:./own"], "hi\n"));
    assert!(other.contains("hi"), "{other}");
    let wrong = chat(dir.path(), &["asks", "--template", "chat-assistant", "--store", "fs:./own"], "hi\n");
    assert_eq!(wrong.status.code(), Some(0), "a new agent may have it: {}", stderr(&wrong));
    let wrong = chat(dir.path(), &["asks", "--template", "asks", "--store", "fs:./own"], "hi\n");
    assert_refused(&wrong, 2, &["exists with the template chat-assistant"]);
}

#[tokio::test]
async fn g7_an_agent_that_cannot_be_taken_up_is_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    server(&dir).await.kill();
    let journal = dir.path().join(".kode/asks/journal-1.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    let config = std::fs::read(dir.path().join("kode.toml")).unwrap();
    std::fs::write(dir.path().join("kode.toml"), "").unwrap();
    assert_refused(&chat(dir.path(), &["asks"], "hi\n"), 1, &["template asks", "--config"]);
    std::fs::write(dir.path().join("kode.toml"), config).unwrap();
    let mut broken = whole.clone();
    broken[40] ^= 1;
    std::fs::write(&journal, &broken).unwrap();
    assert_refused(&chat(dir.path(), &["asks"], "hi\n"), 1, &["damaged", "kode store check"]);
    assert_eq!(std::fs::read(&journal).unwrap(), broken);
}

const KEY: &str = "testid.testsecret-that-nobody-may-see";

#[tokio::test]
async fn g9_a_turn_that_fails_is_said_to_have_failed_with_exit_code_1() {
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    glm.push(Reply::text("fine"));
    glm.push(Reply::error(401, "1000", "no such key"));
    let mut command = kode(dir.path(), &["chat"]);
    command.env("KODE_GLM_BASE_URL", glm.base_url()).env("ZHIPUAI_API_KEY", KEY);
    let output = tokio::task::spawn_blocking(|| told(command, "one\ntwo\nthree\n")).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "fine\n");
    assert!(stderr(&output).starts_with("kode: the turn failed"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1);
    assert!(!stderr(&output).contains("testsecret"));
    let left = run(dir.path(), &["replay", "user:local", "--json"]);
    assert!(!stdout(&left).contains("three"), "what stood behind the failure was not sent");
}

/// `kill -INT`, as Ctrl-C sends it where no editor reads the keys.
fn interrupt(process: &Child) {
    let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_stops_the_run_and_with_it_the_pipe() {
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    glm.push(Reply::text("fine"));
    glm.push(Reply::text("well"));
    glm.push(Reply::text("one two three four").pieces(8).stalling_after(4));
    let mut command = kode(dir.path(), &["chat"]);
    command.env("KODE_GLM_BASE_URL", glm.base_url()).env("ZHIPUAI_API_KEY", KEY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());

    let mut waiting = command.spawn().unwrap();
    let mut lines = waiting.stdin.take().unwrap();
    lines.write_all(b"hi\n").unwrap();
    until(&mut waiting, "fine");
    interrupt(&waiting);
    let ended = waiting.wait_with_output().unwrap();
    // Before the turn had ended or behind it: the pipe ends in either case.
    let told = stderr(&ended);
    assert!(told == "kode: interrupted\n" || told == "kode: the turn was interrupted\n", "{told}");
    assert_eq!(ended.status.code(), Some(1));
    drop(lines);

    let mut running = command.spawn().unwrap();
    let mut lines = running.stdin.take().unwrap();
    lines.write_all(b"again\n").unwrap();
    until(&mut running, "well");
    lines.write_all(b"count\n").unwrap();
    until(&mut running, "one");
    interrupt(&running);
    let ended = running.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(stderr(&ended), "kode: the turn was interrupted\n");
}

/// Reads what a process prints until this is in it.
fn until(process: &mut Child, text: &str) {
    let (output, mut shown) = (process.stdout.as_mut().unwrap(), String::new());
    while !shown.contains(text) {
        let mut piece = [0; 64];
        let count = output.read(&mut piece).unwrap();
        assert!(count > 0, "{text:?} is not in {shown:?}");
        shown.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
}
