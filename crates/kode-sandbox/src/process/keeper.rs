//! Who holds a helper: a task of its own, so that the end of a tree is seen through even where nobody waits for it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use kode_core::sandbox::{Limit, ProcessEnd};
use kode_core::tool::Cancel;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::Child;
use tokio::sync::oneshot;

use crate::policy::{End, Policy, Told};

/// Words within the time after which silence is the end.
const PULSES: u64 = 5;
/// How long a helper may take to kill what it holds, once it was told to.
const GRACE: Duration = Duration::from_secs(10);

/// One process tree. Dropping it kills the tree; that takes some milliseconds, which nobody waits for.
pub(super) struct Tree {
    kill: Option<oneshot::Sender<()>>,
    end: oneshot::Receiver<ProcessEnd>,
}

impl Tree {
    /// Keeps a helper from here on. `held` is dropped when nothing of the tree is left.
    pub(super) fn keep(
        child: Child,
        socket: OwnedFd,
        rest: Vec<u8>,
        policy: &Policy,
        held: Cancel,
    ) -> std::io::Result<Self> {
        let socket = UnixStream::from_std(StdUnixStream::from(socket))?;
        let (kill, killed) = oneshot::channel();
        let (tell, end) = oneshot::channel();
        // The helper's own clock is what counts; one that does not tell, stopped for example, is not waited for.
        let most = Duration::from_millis(policy.timeout_ms).saturating_add(GRACE);
        let pulse = policy.silence_ms.map(|silence| Duration::from_millis((silence / PULSES).max(1)));
        let bounds = Words { memory: policy.bounds.memory, disk: policy.bounds.disk };
        tokio::spawn(async move {
            let told = hear(socket, rest, killed, (most, pulse)).await;
            if told.is_none() {
                end_group(&child);
            }
            reap(child).await;
            drop(held);
            let _ = tell.send(bounds.end(told));
        });
        Ok(Self { kill: Some(kill), end })
    }

    /// Kills the tree. Its end is still to be waited for.
    pub(super) fn kill(&mut self) {
        self.kill = None;
    }

    /// Waits for the end. Cancel safe.
    pub(super) async fn end(&mut self) -> ProcessEnd {
        let lost = ProcessEnd::Failed { message: "the server is shutting down".into() };
        (&mut self.end).await.unwrap_or(lost)
    }
}

/// Waits for the helper's last line; says that all is to be killed, by closing the socket, when nobody wants it any
/// more.
async fn hear(
    socket: UnixStream,
    rest: Vec<u8>,
    killed: oneshot::Receiver<()>,
    (most, pulse): (Duration, Option<Duration>),
) -> Option<End> {
    let (socket, helper) = socket.into_split();
    let mut socket = BufReader::new(socket);
    let mut text = rest;
    tokio::select! {
        _ = killed => Some(End::Dropped),
        () = be_there(helper, pulse) => None,
        () = tokio::time::sleep(most) => Some(End::TimedOut),
        told = async {
            while !text.contains(&b'\n') {
                if socket.read_until(b'\n', &mut text).await.ok()? == 0 {
                    return None;
                }
            }
            match serde_json::from_slice(&text).ok()? {
                Told::Ended(end) => Some(end),
                Told::Started { .. } | Told::Failed { .. } => None,
            }
        } => told,
    }
}

/// Lets the helper hear again and again that this process is there, where it is to know. Never returns.
async fn be_there(mut helper: OwnedWriteHalf, pulse: Option<Duration>) {
    while let Some(pulse) = pulse {
        tokio::time::sleep(pulse).await;
        if helper.write_all(b".").await.is_err() {
            break;
        }
    }
    // Held: its end would be taken for ours.
    let _helper = helper;
    std::future::pending().await
}

/// Ends what a helper that died without a word may have left of its start: it is in the helper's group, whose number is
/// nobody else's as long as the helper was not waited for.
fn end_group(child: &Child) {
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        // None where the helper died before it had a group of its own.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Waits until the helper is gone, and with it all that it held. One that does not end is killed: what it holds
/// dies with it where it has namespaces.
async fn reap(mut child: Child) {
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        tracing::warn!("a sandbox's helper did not end in time and was killed");
        let _ = child.kill().await;
    }
}

/// What ends mean in words.
struct Words {
    memory: u64,
    disk: u64,
}

impl Words {
    fn end(&self, told: Option<End>) -> ProcessEnd {
        let over = |limit, message: String| ProcessEnd::OverLimit { limit, message };
        match told {
            Some(End::Exited(code)) => ProcessEnd::Exited { code },
            Some(End::Signaled(signal)) => ProcessEnd::Signaled { signal },
            Some(End::TimedOut) => ProcessEnd::TimedOut,
            Some(End::Over(Limit::Memory)) => {
                over(Limit::Memory, format!("it took more than {} MiB of memory", self.memory >> 20))
            }
            Some(End::Over(Limit::Disk)) => over(
                Limit::Disk,
                format!("the work directory grew over {} MiB; remove what is not needed", self.disk >> 20),
            ),
            Some(End::Over(Limit::Output)) => over(Limit::Output, "it wrote too much".into()),
            Some(End::Dropped) => ProcessEnd::Failed { message: "it was killed".into() },
            None => ProcessEnd::Failed { message: "its sandbox ended without a word".into() },
        }
    }
}
