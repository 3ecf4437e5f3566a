//! A template's wishes become a policy, and a policy an agent's processes.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kode_core::id::AgentId;
use kode_core::template::SandboxSpec;

use crate::egress::{Egress, Rules};
use crate::files::Files;
use crate::level::{Asked, Layer, Level};
use crate::policy::{Act, Bounds, Builder, Policy};
use crate::process::{LocalProcesses, Logs, Program, Proven, places};

/// Open files of each process.
const FILES: u64 = 1_024;
/// User ids of sandboxes whose server is root: above all that systems give out, below what they forbid.
const OWNERS: u32 = 0x7000_0000;
const OWNERS_MASK: u32 = 0x0fff_ffff;
/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Milliseconds that a proof may take.
const PROOF_MS: u64 = 10_000;

/// What holds for every agent of a sandbox.
#[derive(Clone)]
pub(crate) struct Grounds {
    /// The directory of the work directories.
    pub(crate) parent: Arc<Path>,
    /// What holds processes; without it, there are none.
    pub(crate) program: Option<Program>,
    pub(crate) without: BTreeSet<Layer>,
    /// Whether the helper does not even try to make namespaces itself.
    pub(crate) bubblewrap_only: bool,
    /// How long this process may be silent before what runs is ended.
    pub(crate) silence: Option<Duration>,
}

impl Grounds {
    /// The policy for a proof.
    pub(crate) fn policy(&self, asked: Asked) -> Policy {
        let layers: BTreeSet<Layer> = asked.layers().difference(&self.without).copied().collect();
        let mut needed: BTreeSet<Layer> = asked.least.layers().difference(&self.without).copied().collect();
        let is_root = rustix::process::geteuid().is_root();
        if is_root && needed.contains(&Layer::Namespaces) && !self.without.contains(&Layer::OwnUid) {
            needed.insert(Layer::OwnUid);
        }
        Policy {
            act: Act::Shell(String::new()),
            layers,
            needed,
            builder: if self.bubblewrap_only { Builder::Bubblewrap } else { Builder::Helper },
            env: environment(asked),
            allow: Vec::new(),
            mask: vec![self.parent.to_string_lossy().into_owned()],
            timeout_ms: PROOF_MS,
            silence_ms: None,
            bounds: bounds(&SandboxSpec::default()),
            egress: false,
            owner: owner(""),
        }
    }

    /// The policy for an agent's commands: what was proven is needed from here on.
    fn policy_for(&self, asked: Asked, agent: &AgentId, spec: &SandboxSpec, proven: &Proven) -> Policy {
        let silence = self.silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX));
        Policy {
            silence_ms: silence,
            layers: proven.layers.clone(),
            needed: proven.layers.clone(),
            builder: proven.builder,
            allow: spec.allow_paths.clone(),
            bounds: bounds(spec),
            // Without a network of their own, processes have the host's or none; there is nothing to make a way out of.
            egress: !spec.network.is_empty() && proven.layers.contains(&Layer::Namespaces),
            owner: owner(agent.as_str()),
            ..self.policy(asked)
        }
    }
}

/// What the processes of all agents of one template are made of. Most agents run none, so they are made with the first.
pub(crate) struct Wanted {
    pub(crate) grounds: Arc<Grounds>,
    pub(crate) asked: Asked,
    pub(crate) spec: SandboxSpec,
    pub(crate) rules: Rules,
    pub(crate) proven: Arc<Proven>,
}

impl Wanted {
    /// Whether it is of this template, as it is held now.
    pub(crate) fn is(&self, grounds: &Arc<Grounds>, spec: &SandboxSpec, proven: &Arc<Proven>) -> bool {
        Arc::ptr_eq(&self.grounds, grounds) && Arc::ptr_eq(&self.proven, proven) && self.spec == *spec
    }

    /// An agent's processes, beneath its files; none where the level cannot be had.
    pub(crate) fn processes(&self, agent: &AgentId, files: &Arc<Files>) -> Option<LocalProcesses> {
        let Self { grounds, asked, spec, rules, proven } = self;
        let program = grounds.program.as_ref().filter(|_| proven.missing.is_empty())?;
        Some(LocalProcesses {
            program: program.clone(),
            policy: grounds.policy_for(*asked, agent, spec, proven),
            files: files.clone(),
            logs: Logs::of(&grounds.parent, agent.as_str()),
            egress: Arc::new(Egress::new(rules.clone())),
            report: proven.report.clone(),
            places: places(),
        })
    }
}

fn bounds(spec: &SandboxSpec) -> Bounds {
    Bounds {
        memory: spec.memory_mib.saturating_mul(1 << 20),
        processes: spec.processes.into(),
        disk: spec.disk_mib.saturating_mul(1 << 20),
        files: FILES,
    }
}

/// What a process finds in its environment; at level `none` that is what the server has.
fn environment(asked: Asked) -> Vec<(String, String)> {
    if asked.least == Level::None {
        return std::env::vars().collect();
    }
    let fixed = [
        ("PATH", PATH),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
        ("USER", "agent"),
        ("LOGNAME", "agent"),
        ("SHELL", "/bin/bash"),
    ];
    let zone = std::env::var("TZ").ok().map(|zone| ("TZ".to_owned(), zone));
    fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(zone).collect()
}

/// A user id that most likely no other agent has: a hash of its name, with a key that nobody knows, so that no name can
/// be chosen for the user id that it leads to. Nothing on the disk carries it.
fn owner(agent: &str) -> u32 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let [a, b, c, d, ..] = KEY.hash_one(agent).to_ne_bytes();
    OWNERS + (u32::from_ne_bytes([a, b, c, d]) & OWNERS_MASK)
}
