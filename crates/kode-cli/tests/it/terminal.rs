//! `kode chat` on a terminal: a pseudo-terminal with a person at its other end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use kode_testkit::glm_emulator::{Gate, GlmEmulator, Outcome, Reply};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{PATIENCE, kode};

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const UP: &str = "\u{1b}[A";

/// A terminal with `kode chat` in it.
struct Terminal {
    child: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    /// How much of it was looked at.
    seen: usize,
}

impl Terminal {
    fn start(dir: &TempDir, command: Command) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keys, size).unwrap();
        let path = ptsname(&keys, Vec::new()).unwrap().into_string().unwrap();
        let side = || File::options().read(true).write(true).open(&path).unwrap();
        // The terminal must be the controlling one, so that its Ctrl-C is a signal.
        let mut own = Command::new("setsid");
        own.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).current_dir(dir);
        own.env("TERM", "xterm").env("XDG_STATE_HOME", dir.path().join("state")).env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        let child = own.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        Self {
            child,
            screen: reading(keys.try_clone().unwrap()),
            keys: keys.into(),
            shown: String::new(),
            seen: 0,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn say(&mut self, line: &str) {
        self.press(&format!("{line}\r"));
    }

    /// Reads on until this is shown, behind what was seen before.
    fn until(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let new = self.shown[self.seen..end].to_owned();
                self.seen = end;
                return new;
            }
            let more = self.screen.recv_timeout(until.saturating_duration_since(Instant::now()));
            let more =
                more.unwrap_or_else(|_| panic!("{text:?} is not shown: {:?}", &self.shown[self.seen..]));
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// Its exit code, once it has left.
    fn left(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        while let Ok(more) = self.screen.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
        (code, std::mem::take(&mut self.shown))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the terminal shows, piece by piece, until nobody has it open any more.
fn reading(screen: OwnedFd) -> Receiver<Vec<u8>> {
    let (pieces, shown) = channel();
    std::thread::spawn(move || {
        let (mut screen, mut piece) = (File::from(screen), [0; 4096]);
        // A terminal that nobody has open gives an error.
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            if pieces.send(piece[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    shown
}

fn demo(dir: &TempDir) -> Terminal {
    Terminal::start(dir, kode(dir.path(), &["chat", "--demo"]))
}

#[test]
fn a_talk_streams_shows_calls_and_remembers_what_was_typed() {
    let dir = TempDir::new().unwrap();
    let mut terminal = demo(&dir);
    terminal.until("user:local is new");
    terminal.until("> ");
    terminal.say("write a.txt hi");
    let told = terminal.until("→ done, ");
    assert!(told.contains("I write a.txt.") && told.contains("· fs_write"), "{told:?}");
    terminal.until("> ");
    terminal.say("/usage");
    terminal.until("so far; shown behind each turn");
    terminal.until("> ");
    terminal.say("hello");
    terminal.until("tokens in");
    terminal.until("> ");
    terminal.press(CTRL_D);
    assert_eq!(terminal.left().0, Some(0));

    let mut terminal = demo(&dir);
    terminal.until("user:local has 6 messages");
    terminal.until("> ");
    terminal.press(UP);
    terminal.until("hello");
    terminal.press(CTRL_C);
    terminal.until("Ctrl-C again");
    terminal.until("> ");
    terminal.press(CTRL_C);
    assert_eq!(terminal.left().0, Some(0));
}

#[test]
fn a_message_may_have_several_lines_and_begin_with_a_slash() {
    let dir = TempDir::new().unwrap();
    let mut terminal = demo(&dir);
    terminal.until("> ");
    terminal.say("one\\");
    terminal.until("… ");
    terminal.say("two");
    terminal.until("one\r\ntwo");
    terminal.until("> ");
    terminal.say("/two");
    terminal.until("is no command");
    terminal.until("> ");
    terminal.say("//two");
    terminal.until("/two");
    terminal.until("> ");
    terminal.say("/quit");
    assert_eq!(terminal.left().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_the_run_and_not_the_program() {
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    let gate = Gate::closed();
    glm.push(Reply::text("one two three four").pieces(4).held_by(&gate));
    glm.push(Reply::text("still here"));
    let mut command = kode(dir.path(), &["chat"]);
    command.env("KODE_GLM_BASE_URL", glm.base_url()).env("ZHIPUAI_API_KEY", "id.secret-of-mine");
    let mut terminal = Terminal::start(&dir, command);
    terminal.until("> ");
    terminal.say("count");
    gate.release(3);
    terminal.until("one");
    terminal.press(CTRL_C);
    terminal.until("(interrupted)");
    assert!(matches!(glm.outcome(0).await, Outcome::ClientClosed { .. }));
    terminal.until("> ");
    terminal.say("and now?");
    terminal.until("still here");
    terminal.until("> ");
    glm.push(Reply::error(401, "1000", "that is no key"));
    terminal.say("once more");
    terminal.until("The turn failed");
    terminal.until("> ");
    terminal.press(CTRL_D);
    let (code, shown) = terminal.left();
    assert_eq!(code, Some(0), "a person saw it fail");
    assert!(!shown.contains("secret-of-mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_a_call_is_asked_about_at_the_prompt_also_after_coming_back() {
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    let config = "[[template]]\nid='asks'\nsystem_prompt='p'\ntools=['fs_write']\n\
                  permission={require_approval=['fs_write']}\n";
    std::fs::write(dir.path().join("kode.toml"), config).unwrap();
    let write = |path: &str| json!({ "path": path, "content": "\u{1b}[31mred\u{202e}" });
    glm.push(Reply::call("fs_write", &write("a.txt")).and_call("fs_write", &write("b.txt")));
    glm.push(Reply::text("one of two"));
    glm.push(Reply::call("fs_write", &write("c.txt")));
    glm.push(Reply::text("later"));
    let start = || {
        let mut command = kode(dir.path(), &["chat", "u", "--template", "asks"]);
        command.env("KODE_GLM_BASE_URL", glm.base_url()).env("ZHIPUAI_API_KEY", "id.secret-of-mine");
        Terminal::start(&dir, command)
    };
    let mut terminal = start();
    terminal.until("> ");
    terminal.say("write both");
    let asked = terminal.until("allow?");
    assert!(asked.contains(r"\u001b[31mred\u{202e}"), "{asked:?}");
    terminal.press(CTRL_D);
    assert!(terminal.left().1.contains("still waits"));

    let mut terminal = start();
    terminal.until("u has 2 messages");
    terminal.until("fs_write waits for you");
    terminal.until("allow?");
    terminal.say("y");
    terminal.until("allow?");
    terminal.say("n not this one");
    terminal.until("one of two");
    terminal.until("> ");
    terminal.say("another");
    terminal.until("allow?");
    terminal.press(CTRL_C);
    terminal.until("(interrupted)");
    terminal.until("> ");
    terminal.press(CTRL_D);
    assert_eq!(terminal.left().0, Some(0));
    let there = |path: &str| dir.path().join("workspace/u").join(path).exists();
    assert_eq!(["a.txt", "b.txt", "c.txt"].map(there), [true, false, false]);
    let told = glm.requests()[1].body.to_string();
    assert!(told.contains("not this one"), "the model reads the note: {told}");
}

#[test]
fn g7_removing_an_agent_asks_a_person_first() {
    let dir = TempDir::new().unwrap();
    let mut terminal = demo(&dir);
    terminal.until("> ");
    terminal.say("hello");
    terminal.until("demo model");
    terminal.until("> ");
    terminal.press(CTRL_D);
    terminal.left();
    for (answer, code) in [("", 1), ("n", 1), ("y", 0)] {
        let mut terminal = Terminal::start(&dir, kode(dir.path(), &["agents", "rm", "user:local"]));
        terminal.until("Remove user:local with its history for good? [y/N]");
        terminal.say(answer);
        let (left, shown) = terminal.left();
        assert_eq!(left, Some(code), "{shown}");
        assert_eq!(dir.path().join(".kode/user:local").exists(), code == 1, "{shown}");
    }
}

#[test]
fn without_colours_there_is_no_style() {
    let dir = TempDir::new().unwrap();
    let mut command = kode(dir.path(), &["chat", "--demo"]);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(&dir, command);
    terminal.until("> ");
    terminal.say("write a.txt hi");
    terminal.until("→ done, ");
    terminal.until("> ");
    terminal.press(CTRL_D);
    let (_, shown) = terminal.left();
    assert!(!shown.contains("\u{1b}[2m") && !shown.contains("\u{1b}[3"), "{shown:?}");
}
