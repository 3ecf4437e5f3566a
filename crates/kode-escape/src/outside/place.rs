//! Where a command line runs: as a plain child of the server, or in the sandbox.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command as Spawned, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kode_core::sandbox::{Command, ProcessEnd, Witness, Workspace};
use kode_core::tool::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

/// How long the output of a plain child that is gone is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Bytes after which what a plain child wrote is forgotten: of a flood, the end is what counts.
const KEPT: usize = 1 << 20;

/// One of the two.
pub(super) enum Place {
    /// As any library spawns a child: its environment, its descriptors, one process killed at a time limit.
    Plain(PathBuf),
    /// By the sandbox's public API.
    Sandbox(Arc<dyn Workspace>),
}

/// What a line came to.
pub(super) struct Came {
    pub(super) stdout: String,
    pub(super) end: String,
    /// Whether its output was still held open by something.
    pub(super) held_open: bool,
}

impl Came {
    pub(super) fn nothing(why: std::io::Error) -> Self {
        Self { stdout: String::new(), end: format!("not started: {why}"), held_open: false }
    }
}

struct Silent;

#[async_trait]
impl Witness for Silent {
    async fn notice(&self, _event_type: &str, _data: Value) {}
}

impl Place {
    /// Runs a line to its end.
    pub(super) async fn run(&self, line: &str, timeout: Duration) -> std::io::Result<Came> {
        match self {
            Self::Plain(work) => {
                let (work, line) = (work.clone(), line.to_owned());
                let spawned = tokio::task::spawn_blocking(move || plain(&work, &line, timeout));
                spawned.await.map_err(std::io::Error::other)?
            }
            Self::Sandbox(work) => sandboxed(&**work, line, timeout).await,
        }
    }
}

async fn sandboxed(work: &dyn Workspace, line: &str, timeout: Duration) -> std::io::Result<Came> {
    let processes = work.processes().map_err(std::io::Error::other)?;
    let command = Command { line: line.into(), timeout };
    let ran = processes.run(&command, Cancel::default(), Arc::new(Silent)).await;
    let ran = ran.map_err(std::io::Error::other)?;
    let end = match &ran.end {
        ProcessEnd::Exited { code } => format!("exited {code}"),
        other => format!("{other:?}"),
    };
    Ok(Came { stdout: ran.stdout.text(), end, held_open: false })
}

fn plain(work: &Path, line: &str, timeout: Duration) -> std::io::Result<Came> {
    let mut command = Spawned::new("bash");
    command.args(["-c", line]).current_dir(work).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let Some(stdout) = child.stdout.take() else { return Err(std::io::Error::other("no output")) };
    let mut stdout = Output { pipe: stdout.into(), kept: String::new(), is_over: false };
    let until = Instant::now() + timeout;
    let end = loop {
        if let Some(status) = child.try_wait()? {
            break status.to_string();
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            break "killed at its time limit".into();
        }
        stdout.take(Duration::from_millis(2))?;
    };
    let patience = Instant::now() + PATIENCE;
    while !stdout.is_over && Instant::now() < patience {
        stdout.take(Duration::from_millis(10))?;
    }
    Ok(Came { stdout: stdout.kept, end, held_open: !stdout.is_over })
}

struct Output {
    pipe: OwnedFd,
    kept: String,
    is_over: bool,
}

impl Output {
    /// Takes what is there, or waits for it a little.
    fn take(&mut self, wait: Duration) -> std::io::Result<()> {
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        if self.is_over {
            let _ = rustix::thread::nanosleep(&wait);
            return Ok(());
        }
        let mut polled = [PollFd::new(&self.pipe, PollFlags::IN)];
        if poll(&mut polled, Some(&wait))? == 0 {
            return Ok(());
        }
        let mut bytes = vec![0; 1 << 16];
        let length = rustix::io::read(self.pipe.as_fd(), &mut bytes)?;
        self.is_over = length == 0;
        if self.kept.len() > KEPT {
            self.kept.clear();
        }
        self.kept.push_str(&String::from_utf8_lossy(&bytes[..length]));
        Ok(())
    }
}
