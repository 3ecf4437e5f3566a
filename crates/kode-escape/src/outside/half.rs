//! One half of the matrix: all levels as one user. Each half is a process of its own, as it is the server whose
//! environment, memory and descriptors are attacked.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::column;
use super::world::World;
use crate::inside::Told;
use crate::targets::CANARY;

/// Nobody's, for the half that is not root.
const USER: &str = "61235";
/// Levels in their order; the first is a plain spawn, and one is there twice, by its other builder.
const LEVELS: [&str; 7] =
    [column::PLAIN, "none", "hygiene", "confined", column::BUBBLEWRAP, "isolated", "metered"];

/// What came of all attempts as one user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Half {
    /// `root` or `user`.
    pub user: String,
    /// By level, in order.
    pub columns: Vec<(String, Column)>,
}

/// The cells of one level by attempt, or why the level cannot be had.
pub type Column = Result<BTreeMap<String, Cell>, String>;

/// What came of one attempt at one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Whether it succeeded; nothing where it cannot be made on this machine.
    pub succeeded: Option<bool>,
    /// What was had, or why not.
    pub detail: String,
}

impl Cell {
    pub(super) fn new(succeeded: Option<bool>, detail: String) -> Self {
        Self { succeeded, detail }
    }

    pub(super) fn told(told: Told) -> (String, Self) {
        (told.name, Self { succeeded: told.succeeded, detail: told.detail })
    }
}

/// Starts the process of a half, with copies of the programs in `dir`.
///
/// # Errors
/// Where it cannot be started.
pub fn start(dir: &Path, is_root: bool, drop_root: bool) -> io::Result<Child> {
    let program = dir.join("escape");
    let name = if is_root { "root" } else { "user" };
    let mut command = if drop_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(["half", name]).arg(dir).env(CANARY, "the server's own").stdout(Stdio::piped()).spawn()
}

/// Is a half: makes all its attempts and tells them on the standard output.
///
/// # Errors
/// Where the host that is attacked cannot be built.
pub fn run(user: &str, dir: &Path) -> io::Result<()> {
    let own = dir.join(user);
    std::fs::create_dir(&own)?;
    std::fs::write(own.join("input"), crate::targets::SECRET)?;
    rustix::stdio::dup2_stdin(std::fs::File::open(own.join("input"))?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut half = Half { user: user.into(), columns: Vec::new() };
    for level in LEVELS {
        let column = runtime.block_on(async {
            if let Some(lack) = column::lack(level, &own.join("lack")).await? {
                return Ok(Err(lack));
            }
            let world = World::new(&own, level, &dir.join("inside"), &dir.join("setuid"))?;
            io::Result::Ok(Ok(column::fill(level, world).await?))
        })?;
        half.columns.push((level.into(), column));
    }
    let mut out = io::stdout();
    out.write_all(&serde_json::to_vec(&half)?)?;
    out.flush()
}
