//! One column of the matrix: every attempt at one level.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kode_core::id::AgentId;
use kode_core::sandbox::{SandboxFactory, Workspace};
use kode_core::template::SandboxSpec;
use kode_sandbox::{Layer, LocalSandbox};
use rustix::process::{Pid, Signal};
use tokio::task::JoinSet;

use super::alone::{self, Alone};
use super::half::Cell;
use super::place::{Came, Place};
use super::world::World;
use crate::inside;

/// Attempts that are made at once.
const AT_ONCE: usize = 5;
/// How long all of the inner attempts together may take.
const ALL: Duration = Duration::from_secs(60);
/// How long a survivor may take to die, once it is killed.
const DYING: Duration = Duration::from_millis(300);
/// The one that is no level of the sandbox.
pub(super) const PLAIN: &str = "plain";
/// `isolated` where bubblewrap makes the namespaces.
pub(super) const BUBBLEWRAP: &str = "bubblewrap";

/// Makes every attempt at a level.
pub(super) async fn fill(level: &'static str, world: World) -> io::Result<BTreeMap<String, Cell>> {
    let world = Arc::new(world);
    let spec = SandboxSpec { level: asked(level).into(), ..SandboxSpec::default() };
    let batch = place(&world, level, "batch", &spec).await?;
    let came = batch.run(&inside::line(), ALL).await?;
    let mut cells: BTreeMap<String, Cell> = inside::parse(&came.stdout).map(Cell::told).collect();
    for attempt in inside::attempts() {
        let lost = || Cell::new(Some(false), format!("nothing was said of it; all {}", came.end));
        cells.entry(attempt.name.into()).or_insert_with(lost);
    }
    let mut waiting = alone::attempts().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((nth, one)) = waiting.next()
        {
            running.spawn(make(world.clone(), level, nth, one));
        }
        let Some(made) = running.join_next().await else { break };
        let (name, cell) = made.map_err(io::Error::other)??;
        cells.insert(name.into(), cell);
    }
    Ok(cells)
}

async fn make(
    world: Arc<World>,
    level: &'static str,
    nth: usize,
    one: &'static Alone,
) -> io::Result<(&'static str, Cell)> {
    let place = place(&world, level, &format!("alone-{nth}"), &one.spec(asked(level))).await?;
    let mark = format!("{}.{nth}", 200_000 + std::process::id());
    let came = place.run(&one.line(&mark), Duration::from_millis(one.timeout_ms)).await;
    let survivors = tokio::task::spawn_blocking(move || end(&mark)).await.map_err(io::Error::other)?;
    // A command that cannot even be started, as its user has as many processes as it may, took nothing.
    let came = came.unwrap_or_else(Came::nothing);
    let has_succeeded = one.has_succeeded(&came, survivors);
    Ok((one.name, Cell::new(Some(has_succeeded), detail(&came, survivors))))
}

fn detail(came: &Came, survivors: usize) -> String {
    format!("{}, {survivors} left", came.end)
}

async fn place(world: &World, level: &str, agent: &str, spec: &SandboxSpec) -> io::Result<Place> {
    let work = world.furnish(agent)?;
    if level == PLAIN {
        return Ok(Place::Plain(work));
    }
    Ok(Place::Sandbox(open(&world.base, level, agent, spec).await?))
}

async fn open(base: &Path, level: &str, agent: &str, spec: &SandboxSpec) -> io::Result<Arc<dyn Workspace>> {
    let sandbox = LocalSandbox::new(base.join("agents")).map_err(io::Error::other)?;
    // Where a level is asked for, no better one is taken.
    let sandbox = if asked(level) == "isolated" { sandbox.without([Layer::Cgroup]) } else { sandbox };
    let sandbox = if level == BUBBLEWRAP { sandbox.by_bubblewrap() } else { sandbox };
    let agent = AgentId::new(agent).map_err(io::Error::other)?;
    sandbox.open(&agent, spec).await.map_err(io::Error::other)
}

/// What is asked of the sandbox for a column.
fn asked(level: &str) -> &str {
    if level == BUBBLEWRAP { "isolated" } else { level }
}

/// Why a level cannot be had here; nothing where it can.
pub(super) async fn lack(level: &str, base: &Path) -> io::Result<Option<String>> {
    if level == PLAIN {
        return Ok(None);
    }
    let spec = SandboxSpec { level: asked(level).into(), ..SandboxSpec::default() };
    let work = open(base, level, "lack", &spec).await?;
    Ok(work.processes().err().map(|refused| refused.to_string()))
}

/// Counts what has the mark, once what was killed had its time to die, and ends it.
fn end(mark: &str) -> usize {
    let give_up = Instant::now() + DYING;
    while !marked(mark).is_empty() && Instant::now() < give_up {
        std::thread::yield_now();
    }
    let left = marked(mark);
    for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    left.len()
}

/// Processes that have the mark in their arguments and are not dead.
fn marked(mark: &str) -> Vec<i32> {
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let state = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let is_dead = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']));
        let has_mark = line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
        (has_mark && !is_dead).then_some(pid)
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}
