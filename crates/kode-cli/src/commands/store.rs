//! `kode store`: what is done to a store as a whole, agent by agent. One room each.

mod check;
mod copy;
mod import;
mod index;
mod migrate;
mod repair;

use std::io::Write;
use std::path::Path;

use kode_core::id::AgentId;
use kode_core::store::{Store as CoreStore, StoreError};
use serde_json::{Value, json};

use crate::args::{Check, Store};
use crate::compose::{self, FsStore};
use crate::config::{Settings, StoreUrl, process_env};
use crate::failure::Failure;

/// Agents listed at a time.
const PAGE: usize = 1_000;

pub(crate) fn run(command: Store) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    match command {
        Store::Import(import) => import::run(import),
        Store::Copy(copy) => copy::run(&copy),
        Store::Check(what) => runtime.block_on(check::run(&what)),
        Store::Repair(mend) => runtime.block_on(repair::run(&mend.what, mend.dry_run)),
        Store::Migrate(mend) => runtime.block_on(migrate::run(&mend.what, mend.dry_run)),
    }
}

/// What is said where only files can be looked after.
const NO_FILES: &str = "this looks after a store's files, and a redis store has none: its server keeps its log whole by \
                        itself (redis-check-aof looks at one), every entry is checked as it is read, and there is one \
                        format. `kode store repair` puts back what its index of names lost";

/// The store that is meant.
fn meant(what: &Check) -> Result<StoreUrl, Failure> {
    Ok(Settings::resolve(None, &what.places, &process_env)?.store)
}

/// A store of files. A directory that is none is refused instead of being made.
fn files(dir: &Path, write: bool) -> Result<FsStore, Failure> {
    if !dir.is_dir() {
        return Err(Failure::failed(format!(
            "there is no store at {}; name one with --store fs:DIR",
            dir.display()
        )));
    }
    compose::files(dir, write)
}

/// The one agent that is meant, or all.
async fn agents(store: &dyn CoreStore, what: &Check) -> Result<Vec<AgentId>, Failure> {
    if let Some(agent) = &what.agent {
        return Ok(vec![AgentId::new(agent.as_str()).map_err(Failure::usage)?]);
    }
    let mut agents = Vec::new();
    loop {
        let page = store.list("", agents.last(), PAGE).await.map_err(Failure::failed)?;
        let at_end = page.len() < PAGE;
        agents.extend(page);
        if at_end {
            return Ok(agents);
        }
    }
}

/// What was found of one agent: a line for a person, and the same for a program.
struct Finding {
    line: String,
    json: Value,
    /// Whether it needs someone.
    bad: bool,
}

impl Finding {
    fn good(agent: &AgentId, said: &str, json: Value) -> Self {
        Self { line: format!("{agent}: {said}"), json, bad: false }
    }

    fn bad(agent: &AgentId, error: &StoreError) -> Self {
        let code = match error {
            StoreError::Damaged(_) => "damaged",
            StoreError::Incompatible(_) => "incompatible",
            StoreError::Conflict { .. }
            | StoreError::Fenced { .. }
            | StoreError::Held { .. }
            | StoreError::Full(_)
            | StoreError::Unavailable(_) => "unreadable",
        };
        let json = json!({"agentId": agent, "ok": false, "code": code, "problem": error.to_string()});
        Self { line: format!("{agent}: {code}: {error}"), json, bad: true }
    }

    fn unknown(agent: &AgentId) -> Self {
        let said = "there is no such agent in this store";
        let json = json!({"agentId": agent, "ok": false, "code": "unknown", "problem": said});
        Self { line: format!("{agent}: {said}"), json, bad: true }
    }
}

/// Prints findings; fails if any of them is bad, with what to do.
fn print(findings: &[Finding], what: &Check, advice: &str) -> Result<(), Failure> {
    let bad = findings.iter().filter(|finding| finding.bad).count();
    let mut out = std::io::stdout().lock();
    let shown = if what.json {
        let agents: Vec<&Value> = findings.iter().map(|finding| &finding.json).collect();
        format!("{}\n", json!({"ok": bad == 0, "checked": findings.len(), "bad": bad, "agents": agents}))
    } else {
        findings.iter().map(|finding| format!("{}\n", finding.line.replace('\n', " "))).collect()
    };
    out.write_all(shown.as_bytes()).map_err(Failure::failed)?;
    match bad {
        0 => Ok(()),
        bad => Err(Failure::failed(format!("{bad} of {} agents are not well: {advice}", findings.len()))),
    }
}
