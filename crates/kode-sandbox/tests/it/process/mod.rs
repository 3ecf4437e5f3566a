//! Commands and background jobs in a sandbox, as tools run them: as root here, and as an ordinary user in `ordinary`.

mod bounds;
mod bubblewrap;
mod inside;
mod job;
mod layers;
mod ordinary;
mod survivors;
mod traces;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{Command, ProcessEnd, Ran, SandboxFactory, Witness, Workspace};
use kode_core::template::SandboxSpec;
use kode_core::tool::Cancel;
use kode_sandbox::LocalSandbox;
use serde_json::Value;

/// Set for a test binary that was started once more as another user: where the helper is that it can run.
pub(crate) const HELPER: &str = "KODE_TEST_HELPER";

/// Set for one that is to take bubblewrap's way to the namespaces.
pub(crate) const BUBBLEWRAP: &str = "KODE_TEST_BUBBLEWRAP";

/// Whether bubblewrap makes the namespaces here.
fn by_bubblewrap() -> bool {
    std::env::var_os(BUBBLEWRAP).is_some()
}

/// Whether this machine has it.
fn has_bubblewrap() -> bool {
    let has = Path::new("/usr/bin/bwrap").exists();
    if !has {
        kode_testkit::rounds::skipped("walls that bubblewrap makes", "there is no /usr/bin/bwrap");
    }
    has
}

/// A witness who tells nobody.
struct Silent;

#[async_trait]
impl Witness for Silent {
    async fn notice(&self, _event_type: &str, _data: Value) {}
}

fn silent() -> Arc<dyn Witness> {
    Arc::new(Silent)
}

fn helper() -> PathBuf {
    std::env::var_os(HELPER).map_or_else(|| env!("CARGO_BIN_EXE_kode-sandbox-helper").into(), PathBuf::from)
}

/// A host whose agents may run commands.
struct Host {
    dir: tempfile::TempDir,
    sandbox: LocalSandbox,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = LocalSandbox::new(dir.path().join("agents")).unwrap().with_helper(helper());
        Self { dir, sandbox: if by_bubblewrap() { sandbox.by_bubblewrap() } else { sandbox } }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// An agent with a name of its own.
    async fn open(&self, agent: &str, spec: &SandboxSpec) -> Arc<dyn Workspace> {
        self.sandbox.open(&AgentId::new(agent).unwrap(), spec).await.unwrap()
    }

    async fn agent(&self) -> Arc<dyn Workspace> {
        self.open("a", &SandboxSpec::default()).await
    }
}

fn level(name: &str) -> SandboxSpec {
    SandboxSpec { level: name.into(), ..SandboxSpec::default() }
}

fn command(line: &str) -> Command {
    Command { line: line.into(), timeout: Duration::from_secs(60) }
}

fn within(line: &str, milliseconds: u64) -> Command {
    Command { line: line.into(), timeout: Duration::from_millis(milliseconds) }
}

async fn run(work: &dyn Workspace, command: &Command) -> Ran {
    work.processes().unwrap().run(command, Cancel::default(), silent()).await.unwrap()
}

/// What a command that ends well writes.
async fn output(work: &dyn Workspace, line: &str) -> String {
    let ran = run(work, &command(line)).await;
    assert_eq!(ran.end, ProcessEnd::Exited { code: 0 }, "{line}: {}", ran.stderr.text());
    ran.stdout.text()
}

/// Whether a command ends well.
async fn succeeds(work: &dyn Workspace, line: &str) -> bool {
    run(work, &command(line)).await.end == ProcessEnd::Exited { code: 0 }
}
