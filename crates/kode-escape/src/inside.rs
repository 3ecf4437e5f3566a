//! The inner side: all attempts by name, and how one is made. It is started in the sandbox as a command, and makes
//! each attempt in a process of its own, so that what one does to itself harms no other.

mod devices;
mod ground;
pub mod holds;
pub(crate) mod ipc;
mod kernel;
mod mounts;
mod namespaces;
mod network;
mod output;
mod processes;
mod reads;
mod rights;
mod sockets;
mod writes;
mod yards;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::attempt::{Attempt, Stop};
use crate::targets::Targets;

pub use self::output::{Told, parse};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The program's name in a work directory.
pub const PROGRAM: &str = "./escape";
/// What makes it all that can be made in one start.
const ALL: &str = "all";
const ONE: &str = "one";

/// All that are made from inside.
pub fn attempts() -> impl Iterator<Item = &'static Attempt> {
    [
        reads::ATTEMPTS,
        writes::ATTEMPTS,
        yards::ATTEMPTS,
        processes::ATTEMPTS,
        namespaces::ATTEMPTS,
        mounts::ATTEMPTS,
        rights::ATTEMPTS,
        network::ATTEMPTS,
        sockets::ATTEMPTS,
        ipc::ATTEMPTS,
        kernel::ATTEMPTS,
        devices::ATTEMPTS,
    ]
    .into_iter()
    .flatten()
}

/// The command line that makes them all.
#[must_use]
pub fn line() -> String {
    format!("{PROGRAM} {ALL}")
}

/// The whole of the inner program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        [ALL] => attempts().for_each(|attempt| say(&apart(attempt.name))),
        [ONE, name] => say(&one(name)),
        // Run with the rights of its file's owner, it tells whose they are.
        [rights::WHO] => print(&format!("{}\n", rustix::process::geteuid().as_raw())),
        _ => return holds::run(&arguments),
    }
    ExitCode::SUCCESS
}

fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn say(told: &Told) {
    print(&told.line());
}

fn one(name: &str) -> Told {
    let Some(attempt) = attempts().find(|attempt| attempt.name == name) else {
        return Told::stopped(name, "no such attempt");
    };
    let targets = match Targets::load(Path::new(".")) {
        Ok(targets) => targets,
        Err(error) => return Told::stopped(name, &format!("no targets: {error}")),
    };
    match (attempt.act)(&targets) {
        Ok(detail) => Told::had(name, &detail),
        Err(Stop::Stopped(why)) => Told::stopped(name, &why),
        Err(Stop::Absent(why)) => Told::absent(name, &why),
    }
}

/// Makes one in a process of its own, and gives it up after a while.
fn apart(name: &str) -> Told {
    let mut command = Command::new(PROGRAM);
    let spawned = command.args([ONE, name]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Told::stopped(name, &format!("not started: {error}")),
    };
    let give_up = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break format!("it said nothing ({status})"),
            Ok(None) if Instant::now() < give_up => ground::pause(Duration::from_millis(1)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break "it took too long".to_owned();
            }
        }
    };
    let mut text = String::new();
    if let Some(stdout) = &mut child.stdout {
        // What an attempt left running may hold the pipe open, and one line is all that is wanted.
        let mut byte = [0];
        while !text.ends_with('\n') && matches!(stdout.read(&mut byte), Ok(1)) {
            text.push(char::from(byte[0]));
        }
    }
    parse(&text).next().unwrap_or_else(|| Told::stopped(name, &status))
}
