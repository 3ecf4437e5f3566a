//! What a level is worth on this host: it is put on once, attempts to break out are made inside of it, and what
//! comes out is the report.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kode_core::sandbox::SandboxReport;
use kode_core::tool::Cancel;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::hint;
use super::keeper::Tree;
use super::ladder::{self, Climbed, Fallen};
use super::launch::{Program, launch};
use crate::helper::{self, Failed};
use crate::level::{Asked, Layer, Level};
use crate::policy::{Act, Builder, Policy, Told};
use crate::probe::Targets;

/// What was found out about a level.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) report: Arc<SandboxReport>,
    /// Why processes are refused, where they are.
    pub(crate) missing: Vec<String>,
    /// The layers that are put on from here on; each of them is needed then.
    pub(crate) layers: BTreeSet<Layer>,
    /// Who makes the namespaces from here on.
    pub(crate) builder: Builder,
    /// Whether it may be otherwise the next time: the proof could not be made, as on a full disk, and no layer failed.
    pub(crate) may_pass: bool,
}

/// What failed, where the machine had no room for the attempts.
pub(super) const PROOF: &str = "proof";
/// What failed, where the attempts were begun.
pub(super) const ATTEMPTS: &str = "attempts";
/// Where proofs are made, beside the agents' directories: no agent's name begins with a dot.
const PLACES: &str = ".proofs";
/// The age at which a proof's place is one that a process left behind when it died: a proof takes some hundred
/// milliseconds.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);

/// Attempts that have to fail from this level on.
const STOPPED_FROM: [(&str, Level); 18] = [
    ("read_server_environment", Level::Confined),
    ("read_outside", Level::Confined),
    ("write_outside", Level::Confined),
    ("read_users", Level::Confined),
    ("write_system", Level::Confined),
    ("trace_server", Level::Confined),
    ("connect_tcp", Level::Confined),
    ("open_vsock", Level::Confined),
    ("open_netlink", Level::Confined),
    ("open_packet_socket", Level::Confined),
    ("call_io_uring", Level::Confined),
    ("call_bpf", Level::Confined),
    ("call_keyctl", Level::Confined),
    ("make_user_namespace", Level::Confined),
    ("mount", Level::Confined),
    ("signal_server", Level::Isolated),
    ("connect_abstract_socket", Level::Isolated),
    ("chmod_outside", Level::Isolated),
];

/// Tries a level out in a directory that holds nothing else. `policy` says all but what is to run.
pub(crate) async fn prove(program: &Program, asked: Asked, policy: Policy, dir: &Path) -> Proven {
    let host = hint::here();
    let attempt = |builder| attempt(program, Policy { builder, ..policy.clone() }, dir);
    match ladder::climb(policy.builder, may_take_bubblewrap(&policy), &host, attempt).await {
        Ok(climbed) => judge(asked, climbed),
        Err(Fallen { why, may_pass }) => Proven { may_pass, ..refused(why) },
    }
}

/// Whether there is another way to the namespaces.
fn may_take_bubblewrap(policy: &Policy) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    policy.layers.contains(&Layer::Namespaces) && !is_root && Path::new(helper::BUBBLEWRAP).exists()
}

/// There is no program that could hold processes.
pub(crate) fn without_helper() -> Proven {
    refused(vec![
        "no helper: the program must call kode_sandbox::helper::enter() first in its main, or name another helper"
            .into(),
    ])
}

/// A level that cannot be had.
fn refused(missing: Vec<String>) -> Proven {
    let layers = Layer::ALL.iter().map(|layer| (layer.name().to_owned(), false)).collect();
    let report =
        SandboxReport { level: "files".into(), gaps: missing.clone(), layers, probes: BTreeMap::new() };
    let (report, layers) = (Arc::new(report), BTreeSet::new());
    Proven { report, missing, layers, builder: Builder::Helper, may_pass: false }
}

fn judge(asked: Asked, Climbed { builder, found, note }: Climbed<Found>) -> Proven {
    let (layers, missing, succeeded) = found;
    let level = reached(&layers);
    let stopped = |name: &str| succeeded.get(name) == Some(&false);
    let escaped: Vec<String> = STOPPED_FROM
        .iter()
        .filter(|(name, from)| *from <= level && !stopped(name))
        .map(|(name, _)| format!("the attempt {name:?} was not stopped at level {}", level.name()))
        .collect();
    let mut refusals = escaped;
    if level < asked.least {
        refusals.extend(missing.iter().cloned());
        let lacking = asked.least.layers();
        refusals.extend(lacking.difference(&layers).map(|layer| format!("{} is not in force", layer.name())));
    }
    let mut gaps = refusals.clone();
    gaps.extend(missing.into_iter().filter(|line| !refusals.contains(line)).collect::<Vec<_>>());
    gaps.extend(note);
    gaps.extend(level.gaps());
    let named = |layer: &Layer| (layer.name().to_owned(), layers.contains(layer));
    let report = SandboxReport {
        level: if refusals.is_empty() { level.name() } else { "files" }.into(),
        gaps,
        layers: Layer::ALL.iter().map(named).collect(),
        probes: succeeded.iter().map(|(name, succeeded)| (name.clone(), !succeeded)).collect(),
    };
    Proven { report: Arc::new(report), missing: refusals, layers, builder, may_pass: false }
}

/// A process of root's own id is not isolated, whatever else is around it: the kernel's files are root's.
fn reached(layers: &BTreeSet<Layer>) -> Level {
    let level = Level::of(layers);
    let is_root = rustix::process::geteuid().is_root();
    if is_root && !layers.contains(&Layer::OwnUid) { level.min(Level::Confined) } else { level }
}

type Found = (BTreeSet<Layer>, Vec<String>, BTreeMap<String, bool>);

async fn attempt(program: &Program, policy: Policy, dir: &Path) -> Result<Found, Failed> {
    let failed = |error: std::io::Error| unproven(PROOF, error.kind());
    let place = Place::make(dir).map_err(failed)?;
    // What there is to reach, for as long as the attempts are made.
    let secret = place.dir.path().join("secret");
    std::fs::write(&secret, b"not for the sandbox").map_err(failed)?;
    let tcp = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let name = place.dir.path().file_name().unwrap_or_default().to_string_lossy();
    let abstract_name = format!("kode-{}-{name}", std::process::id());
    let address = UnixAddress::from_abstract_name(&abstract_name).map_err(failed)?;
    let _listens = UnixListener::bind_addr(&address).map_err(failed)?;
    let targets = Targets {
        server: i32::try_from(std::process::id()).unwrap_or_default(),
        file: secret.to_string_lossy().into_owned(),
        tcp: tcp.local_addr().map_err(failed)?,
        abstract_name,
    };
    let work = place.dir.path().join("work");
    std::fs::create_dir(&work).map_err(failed)?;
    run(program, Policy { act: Act::Probe(targets), ..policy }, &work).await
}

/// Why there is no proof.
fn unproven(stage: &str, why: impl ToString) -> Failed {
    Failed { stage: stage.into(), why: why.to_string() }
}

/// A directory for one proof, of a name that nobody else has: nodes share directories, and in containers their processes
/// have the same numbers.
struct Place {
    dir: TempDir,
    /// Gone with the last proof under way: whoever looks at a host leaves nothing in it that is theirs.
    places: PathBuf,
}

impl Place {
    fn make(parent: &Path) -> std::io::Result<Self> {
        let places = parent.join(PLACES);
        loop {
            match std::fs::create_dir(&places) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => clear_left_behind(&places),
            }
            match TempDir::new_in(&places) {
                // Another proof that ended has just taken the places away.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                made => return made.map(|dir| Self { dir, places }),
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.dir.path());
        let _ = std::fs::remove_dir(&self.places);
    }
}

/// Removes what processes that died in a proof have left. What cannot be removed is in nobody's way.
fn clear_left_behind(places: &Path) {
    for entry in std::fs::read_dir(places).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn run(program: &Program, policy: Policy, work: &Path) -> Result<Found, Failed> {
    let failed = |error: std::io::Error| unproven(PROOF, error.kind());
    let work = std::fs::File::open(work).map_err(failed)?;
    let program = program.clone();
    let started = tokio::task::spawn_blocking(move || {
        let launched = launch(&program, &policy, &[work.as_fd()] as &[BorrowedFd<'_>])?;
        Ok((launched, policy))
    });
    let shut = |_| unproven(PROOF, "the server is shutting down");
    let (mut launched, policy) = started.await.map_err(shut)??;
    let stdout = launched.child.stdout.take();
    let mut tree = Tree::keep(launched.child, launched.socket, launched.rest, &policy, Cancel::default())
        .map_err(failed)?;
    let (layers, missing) = match launched.told {
        Told::Started { layers, missing } => (layers, missing),
        Told::Failed { stage, why } => return Err(Failed { stage, why }),
        Told::Ended(_) => {
            return Err(unproven(ATTEMPTS, "it ended before it had begun"));
        }
    };
    let mut text = Vec::new();
    if let Some(mut stdout) = stdout {
        stdout.read_to_end(&mut text).await.map_err(failed)?;
    }
    tree.end().await;
    let told = serde_json::from_slice(&text);
    let told = told.map_err(|_| unproven(ATTEMPTS, "they told nothing"))?;
    Ok((layers, missing, told))
}
