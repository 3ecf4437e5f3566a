//! `kode agents`: the same words for a store and for the server that has it.

use std::io::{Read, Write};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, kode, run};

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the command prints; it must do what it was asked.
pub(crate) fn done(output: &Output) -> String {
    assert_eq!((output.status.code(), stderr(output)), (Some(0), String::new()));
    stdout(output)
}

/// One line on stderr that has all of these, with this exit code, and nothing on stdout.
pub(crate) fn assert_refused(output: &Output, code: i32, says: &[&str]) {
    let told = stderr(output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(code), 1), "{told}");
    assert_eq!(stdout(output), "");
    assert!(says.iter().all(|part| told.contains(part)), "{told} lacks one of {says:?}");
}

/// A server with an agent that answered and one that waits for a person.
pub(crate) async fn server(dir: &TempDir) -> Server {
    server_with(dir, "").await
}

/// The same with more in its configuration.
async fn server_with(dir: &TempDir, more: &str) -> Server {
    let config = "[[template]]\nid='asks'\nsystem_prompt='p'\ntools=['fs_write']\n\
                  permission={require_approval=['fs_write']}\n";
    std::fs::write(dir.path().join("kode.toml"), format!("{config}{more}")).unwrap();
    let server = Server::start(dir);
    server.post("/api/agents/user:1/messages", &json!({ "text": "todo buy tea" })).await;
    server.until_ready("user:1").await;
    let asks = json!({ "text": "write a.txt \u{1b}[2Jhi\u{202e}", "templateId": "asks" });
    server.post("/api/agents/asks/messages", &asks).await;
    server.until_asked("asks").await;
    server
}

#[tokio::test]
async fn a_store_and_its_server_print_the_same() {
    let dir = TempDir::new().unwrap();
    let server = server(&dir).await;
    let commands: [&[&str]; 6] = [
        &["agents", "ls"],
        &["agents", "ls", "--prefix", "user"],
        &["agents", "show", "user:1"],
        &["agents", "show", "asks"],
        &["events", "user:1"],
        &["events", "asks", "--channels", "control, monitor", "--json"],
    ];
    for command in commands {
        let of_store = done(&run(dir.path(), command));
        let of_server = done(&run(dir.path(), &[command, &["--server", &server.base]].concat()));
        assert_eq!(of_store, of_server, "{command:?}");
        assert!(!of_store.contains('\u{1b}'), "{command:?} lets control characters through");
    }
    let listed = done(&run(dir.path(), &["agents", "ls"]));
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    assert_eq!(rows[0], ["AGENT", "TEMPLATE", "STATE", "MESSAGES"]);
    assert_eq!(rows[1], ["asks", "asks", "PAUSED", "2"]);
    assert_eq!(rows[2], ["user:1", "chat-assistant", "READY", "4"]);
    let shown = done(&run(dir.path(), &["agents", "show", "user:1"]));
    assert!(shown.contains("[pending] buy tea"), "{shown}");
}

#[tokio::test]
async fn an_approver_sees_the_whole_input_and_nothing_of_it_moves_the_cursor() {
    let dir = TempDir::new().unwrap();
    let server = server(&dir).await;
    let long = format!("write b.txt {}end", "x".repeat(5_000));
    server.post("/api/agents/long/messages", &json!({ "text": long, "templateId": "asks" })).await;
    server.until_asked("long").await;
    let shown = done(&run(dir.path(), &["agents", "show", "asks"]));
    assert!(shown.contains(r"\u001b[2Jhi\u{202e}"), "{shown}");
    assert!(shown.contains("kode approve asks call_1_0"), "{shown}");
    assert!(done(&run(dir.path(), &["agents", "show", "long"])).contains("xxxend"));
}

/// The lines of an export, by kind.
fn exported(text: &str, kind: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    lines.filter_map(|line| line.get(kind).cloned()).collect()
}

#[tokio::test]
async fn an_export_has_everything_from_both() {
    let dir = TempDir::new().unwrap();
    let server = server(&dir).await;
    for way in [&[][..], &["--server", &server.base]] {
        let text = done(&run(dir.path(), &[&["agents", "export", "user:1"], way].concat()));
        assert_eq!(exported(&text, "event"), server.events("user:1").await);
        let (_, messages) = server.get("/api/agents/user:1/messages").await;
        assert_eq!(Value::from(exported(&text, "message")), messages["messages"]);
        assert_eq!(exported(&text, "info")[0]["templateId"], "chat-assistant");
        assert_eq!(exported(&text, "status")[0]["state"], "READY");
        assert_eq!(exported(&text, "todos")[0]["todos"][0]["title"], "buy tea");
    }
}

#[tokio::test]
async fn g7_a_removed_agent_is_gone_and_its_files_only_when_that_is_asked() {
    let dir = TempDir::new().unwrap();
    let server = server(&dir).await;
    for agent in ["one", "two", "three"] {
        server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": "write f.txt x" })).await;
        server.until_ready(agent).await;
    }
    let file = |agent: &str| dir.path().join(format!("workspace/{agent}/f.txt"));
    let removed = done(&run(dir.path(), &["agents", "rm", "one", "--server", &server.base]));
    assert_eq!(removed, "removed one with its history\n");
    assert_refused(&run(dir.path(), &["agents", "rm", "two"]), 1, &["in use by another process", "--server"]);
    server.kill();

    let removed = done(&run(dir.path(), &["agents", "rm", "two", "--workspace", "--json"]));
    assert_eq!(removed, "{\"agentId\":\"two\",\"removed\":true,\"workspace\":true}\n");
    done(&run(dir.path(), &["agents", "rm", "three"]));
    assert_eq!([file("one"), file("two"), file("three")].map(|f| f.exists()), [true, false, true]);
    let left = done(&run(dir.path(), &["agents", "ls"]));
    assert_eq!(left.lines().count(), 3, "{left}");
    assert_refused(&run(dir.path(), &["agents", "rm", "two"]), 1, &["no agent two", "kode agents ls"]);
}

#[tokio::test]
async fn wrong_input_is_said_to_be_wrong() {
    let dir = TempDir::new().unwrap();
    let nowhere: &[&str] = &["no store at", "--store"];
    for command in [&["agents", "ls"][..], &["agents", "rm", "x"], &["events", "x"], &["approve", "x", "c"]] {
        assert_refused(&run(dir.path(), command), 1, nowhere);
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "looking makes nothing");

    let server = server(&dir).await;
    for way in [&[][..], &["--server", &server.base]] {
        let with = |command: &[&str]| run(dir.path(), &[command, way].concat());
        for command in ["show", "export"] {
            assert_refused(&with(&["agents", command, "nobody"]), 1, &["no agent nobody"]);
            assert_refused(&with(&["agents", command, "../etc"]), 2, &["no agent id"]);
        }
        assert_refused(&with(&["agents", "ls", "--prefix", "a&b"]), 2, &["--prefix"]);
        assert_refused(&with(&["events", "nobody"]), 1, &["no agent nobody"]);
        assert_refused(&with(&["events", "user:1", "--channels", "loud"]), 2, &["loud", "progress"]);
        assert_refused(&with(&["events", "user:1", "--since", "9007199254740990"]), 1, &["future"]);
    }
    let page = server.base.clone() + "/nothing";
    assert_refused(&run(dir.path(), &["agents", "ls", "--server", &page]), 1, &["nothing at this path"]);
    let secret = run(dir.path(), &["agents", "ls", "--server", "http://me:hidden@127.0.0.1:1"]);
    assert_refused(&secret, 2, &["KODE_API_KEY"]);
    assert!(!stderr(&secret).contains("hidden"));
    let base = server.base.clone();
    server.kill();
    assert_refused(&run(dir.path(), &["agents", "ls", "--server", &base]), 1, &[&base, "is it running?"]);
    let both = run(dir.path(), &["agents", "ls", "--server", &base, "--store", "fs:x"]);
    assert_eq!(both.status.code(), Some(2));
}

#[tokio::test]
async fn g7_a_damaged_agent_hides_no_other() {
    let dir = TempDir::new().unwrap();
    server(&dir).await.kill();
    let journal = dir.path().join(".kode/asks");
    let names = std::fs::read_dir(&journal).unwrap().map(|e| e.unwrap().path());
    let file = names.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).min().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let listed = done(&run(dir.path(), &["agents", "ls"]));
    assert!(listed.contains("user:1") && listed.contains("damaged"), "{listed}");
    assert_refused(&run(dir.path(), &["agents", "show", "asks"]), 1, &["damaged", "kode store check"]);
    assert_refused(&run(dir.path(), &["approve", "asks", "call_1_0"]), 1, &["damaged"]);
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "it is kept as it is");
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let _server = server(&dir).await;
    let script = "set -o pipefail; for c in 'agents export user:1' 'events user:1' 'replay user:1'; do \
                  for _ in 1 2 3 4 5; do \"$KODE\" $c | head -c 1 >/dev/null || exit 9; done; done";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script]).env("KODE", kode(dir.path(), &[]).get_program()).current_dir(&dir);
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

/// Answers one request with this, and gives the request.
fn once(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut line, _) = listener.accept().unwrap();
        let (mut request, mut piece) = (String::new(), [0; 1024]);
        while !request.contains("\r\n\r\n") {
            let count = line.read(&mut piece).unwrap();
            request.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        line.write_all(answer.as_bytes()).unwrap();
        request
    });
    (base, asked)
}

#[test]
fn the_key_of_the_environment_is_sent_and_never_shown() {
    let dir = TempDir::new().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "key-that-nobody-may-see\n").unwrap();
    let denied = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n\
                  {\"success\":false,\"error\":\"this key is not known\",\"code\":\"unauthorized\"}";
    let (base, asked) = once(denied);
    let mut command = kode(dir.path(), &["agents", "ls", "--server", &base]);
    let refused = command.env("KODE_API_KEY_FILE", &key).output().unwrap();
    assert_refused(&refused, 1, &["this key is not known"]);
    assert!(!stderr(&refused).contains("nobody-may-see"));
    let request = asked.join().unwrap().to_lowercase();
    assert!(request.contains("\r\nauthorization: bearer key-that-nobody-may-see\r\n"), "{request}");
}

#[test]
fn what_is_no_kode_server_is_said_to_be_none() {
    let dir = TempDir::new().unwrap();
    let answers = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>hello</html>",
        "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n<html>\u{1b}[2J</html>",
        "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\nconnection: close\r\n\r\n",
    ];
    for answer in answers {
        let (base, asked) = once(answer);
        let told = run(dir.path(), &["agents", "ls", "--server", &base]);
        assert_refused(&told, 1, &["is the URL that of a kode server?"]);
        asked.join().unwrap();
    }
}

/// On a store and on its server: the fork is an agent with the history and a copy of the files, and refusals are told.
#[tokio::test]
async fn an_agent_is_forked_where_no_call_is_open() {
    let dir = TempDir::new().unwrap();
    let server = server(&dir).await;
    let on_server = ["--server", &server.base];
    let forked =
        run(dir.path(), &[&["agents", "fork", "user:1", "--as", "user:1:b"], &on_server[..]].concat());
    assert_eq!(done(&forked), "made user:1:b out of user:1\n");
    let again =
        run(dir.path(), &[&["agents", "fork", "user:1", "--as", "user:1:b"], &on_server[..]].concat());
    assert_refused(&again, 1, &["user:1:b", "another name"]);
    assert_refused(&run(dir.path(), &["agents", "fork", "user:1"]), 1, &["in use", "--server"]);
    server.kill();
    let json = done(&run(dir.path(), &["agents", "fork", "user:1", "--json", "--workspace", "empty"]));
    let made: Value = serde_json::from_str(&json).unwrap();
    let id = made["agentId"].as_str().unwrap();
    assert!(id.starts_with("user:1:fork:"), "{id}");
    assert!(done(&run(dir.path(), &["agents", "show", id])).contains("todo"), "it has the history");
    assert_refused(&run(dir.path(), &["agents", "fork", "nobody"]), 1, &["nobody"]);
    assert_refused(&run(dir.path(), &["agents", "fork", "user:1", "--at", "999"]), 1, &["999"]);
    assert_refused(&run(dir.path(), &["agents", "fork", "asks", "--at", "10"]), 1, &["open"]);
    let listed = done(&run(dir.path(), &["agents", "ls", "--prefix", "user:1"]));
    assert_eq!(listed.lines().count(), 4, "{listed}");
}

/// The table that is drawn again: those at work first, with what each has cost, until nobody reads it.
#[tokio::test]
async fn a_watched_list_is_drawn_again_until_its_reader_goes() {
    let dir = TempDir::new().unwrap();
    let prices = "[prices.'glm-4.5-air']\ninput = 1000000\noutput = 1000000\ncurrency = 'CNY'\n";
    let server = server_with(&dir, prices).await;
    let mut watch = kode(dir.path(), &["agents", "ls", "--watch=1", "--server", &server.base])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    let mut table = || -> Vec<String> { lines.by_ref().take(4).map(Result::unwrap).collect() };
    let first = table();
    assert_eq!(first[0], "2 agents, 0 at work, 1 paused");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&first[1]), ["AGENT", "STATE", "STEPS", "TOKENS", "COST", "AGE"]);
    let (asks, user) = (words(&first[2]), words(&first[3]));
    assert_eq!((&asks[..3], &user[..3]), (&words("asks PAUSED 1")[..], &words("user:1 READY 2")[..]));
    // A million tokens cost a million.
    assert_eq!(user[4], format!("{}.00", user[3]), "a price of one for each token");
    lines.next();
    let again: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
    assert_eq!(again[0], first[0]);
    drop(lines);
    assert!(watch.wait().unwrap().success());
}
