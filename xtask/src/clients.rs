//! Checks the testkit's model emulator against the public Python clients: what they understand is what the
//! service says, so our own provider may be tested against it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, ensure};

use crate::context::{Context, run as run_command};
use crate::needs::{CLIENTS, PYTHON, VENV};

/// Takes the emulator's base URL as its only argument.
const SCRIPT: &str = "fixtures/clients/check_clients.py";

/// Starts the emulator and runs the script against it, where the clients can be had.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    if !(PYTHON.ensure(context)? && CLIENTS.ensure(context)?) {
        return Ok(());
    }
    let emulator = Emulator::start(context)?;
    let python = format!("{VENV}/bin/python");
    run_command(&mut context.command(&python, &[SCRIPT, &emulator.base_url]))
}

/// The emulator's process, killed when dropped.
struct Emulator {
    child: Child,
    base_url: String,
}

impl Emulator {
    /// Starts it on a free port and waits until it says where it listens.
    fn start(context: &Context) -> anyhow::Result<Self> {
        // On Unix cargo becomes the program that it runs, so killing the child kills the emulator.
        let mut command =
            context.cargo(&["run", "--quiet", "--package", "kode-testkit", "--example", "glm_emulator"]);
        let child = command.stdout(Stdio::piped()).spawn().context("failed to start the emulator")?;
        let mut emulator = Self { child, base_url: String::new() };
        let stdout = emulator.child.stdout.take().context("the emulator's stdout is piped")?;
        BufReader::new(stdout).read_line(&mut emulator.base_url)?;
        emulator.base_url.truncate(emulator.base_url.trim_end().len());
        ensure!(!emulator.base_url.is_empty(), "the emulator ended before it said where it listens");
        Ok(emulator)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself, and there is no one to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
