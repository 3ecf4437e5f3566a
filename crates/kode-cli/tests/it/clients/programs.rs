//! Clients that are programs of their own: the scripts of `examples/clients`, with what `cargo xtask test` installs for
//! them. What never belongs here: what they are told, and what they must show.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use kode_testkit::servers::found;
use tempfile::TempDir;

use super::told::{END, Shown, Teller};

/// A file of the project.
pub(super) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The npm packages of `examples/clients/package.json`.
pub(super) const NODE_MODULES: &str = "target/clients-npm/node_modules";
/// The Python of `examples/clients/requirements.txt`.
const PYTHON: &str = "target/clients-venv/bin/python";

/// Whether all that clients need is here.
pub(super) fn installed() -> bool {
    let packages = [format!("{NODE_MODULES}/eventsource/package.json"), PYTHON.to_owned()];
    ["curl", "node", "chromium"].into_iter().all(found)
        && packages.iter().all(|path| found(&project(path).display().to_string()))
}

/// Whom a client asks, and with what key.
#[derive(Clone, Default)]
pub(super) struct Address {
    pub(super) base: String,
    pub(super) key: Option<String>,
}

/// A program that runs, killed when this is dropped or the test is gone.
pub(super) struct Program(Arc<Mutex<Child>>);

impl Program {
    /// Starts one whose lines are taken down, and at the end of them how it ended.
    pub(super) fn start(program: &str, args: &[String], teller: Teller, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env_remove("KODE_API_KEY").env("no_proxy", "127.0.0.1").envs(env.iter().copied());
        let mut child = command.spawn().expect("setpriv is on every Debian");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let child = Arc::new(Mutex::new(child));
        let running = child.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                teller.send_modify(|told| told.push(line));
            }
            let ended = running.lock().expect("nothing panics while it holds this lock").wait();
            let well = ended.as_ref().is_ok_and(|status| status.success());
            let line = if well { END.to_owned() } else { format!("{END} otherwise: {ended:?}") };
            teller.send_modify(|told| told.push(line));
        });
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself, and there is no one to tell.
        let _ = self.0.lock().map(|mut child| child.kill());
    }
}

/// Scripts at work, and where those for Node lie.
#[derive(Default)]
pub(super) struct Programs {
    running: Vec<Program>,
    dirs: Vec<TempDir>,
}

impl Programs {
    /// `curl.sh`; without a text it follows.
    pub(super) fn curl(
        &mut self,
        client: &'static str,
        to: &Address,
        agent: &str,
        text: Option<&str>,
    ) -> Shown {
        self.script(client, "bash", project("examples/clients/curl.sh"), to, agent, text)
    }

    /// `httpx_sse_client.py`; without a text it follows.
    pub(super) fn httpx(
        &mut self,
        client: &'static str,
        to: &Address,
        agent: &str,
        text: Option<&str>,
    ) -> Shown {
        let python = project(PYTHON).display().to_string();
        self.script(client, &python, project("examples/clients/httpx_sse_client.py"), to, agent, text)
    }

    /// `eventsource.mjs` on one of the versions of its package.
    pub(super) fn eventsource(
        &mut self,
        client: &'static str,
        package: &str,
        to: &Address,
        agent: &str,
        text: &str,
    ) -> Shown {
        // Node looks for a package beside the script.
        let dir = TempDir::new().unwrap();
        let (script, modules) = (dir.path().join("eventsource.mjs"), dir.path().join("node_modules"));
        std::fs::copy(project("examples/clients/eventsource.mjs"), &script).unwrap();
        std::fs::create_dir(&modules).unwrap();
        let installed = project(NODE_MODULES).join(package).canonicalize().unwrap();
        std::os::unix::fs::symlink(installed, modules.join("eventsource")).unwrap();
        self.dirs.push(dir);
        self.script(client, "node", script, to, agent, Some(text))
    }

    fn script(
        &mut self,
        client: &'static str,
        program: &str,
        script: PathBuf,
        to: &Address,
        agent: &str,
        text: Option<&str>,
    ) -> Shown {
        let (teller, shown) = Shown::new(client, agent);
        let args = [script.to_str(), Some(&to.base), Some(agent), text];
        let args: Vec<String> = args.into_iter().flatten().map(str::to_owned).collect();
        let key = to.key.as_deref().map(|key| ("KODE_API_KEY", key));
        self.running.push(Program::start(program, &args, teller, key.as_slice()));
        shown
    }
}
