//! One agent's processes: commands that are run to their end, and background jobs.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kode_core::id::JobId;
use kode_core::sandbox::{
    Captured, Command, JobLog, Limit, ProcessEnd, ProcessError, Processes, Ran, SandboxReport, Witness,
};
use kode_core::tool::Cancel;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{Semaphore, oneshot};

use super::capture::Capture;
use super::keeper::Tree;
use super::launch::{Program, launch};
use super::log::{Logs, Stream, Writer};
use crate::egress::Egress;
use crate::files::Files;
use crate::helper::Failed;
use crate::policy::{Act, LINE_MAX, Policy, Told};

/// Commands of one agent that run at once, background jobs among them.
const AT_ONCE: usize = 16;
/// Bytes that one command may write before it is killed: reading on costs the server, and nobody reads them.
const OUTPUT_MAX: u64 = 256 << 20;
/// How long the end of the output is waited for once the process is gone.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// One agent's processes on this machine.
pub(crate) struct LocalProcesses {
    pub(crate) program: Program,
    pub(crate) policy: Policy,
    /// Whose descriptors they are given.
    pub(crate) files: Arc<Files>,
    pub(crate) logs: Logs,
    pub(crate) egress: Arc<Egress>,
    pub(crate) report: Arc<SandboxReport>,
    pub(crate) places: Arc<Semaphore>,
}

/// Room for one agent's commands.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

/// A command under way.
struct Running {
    tree: Tree,
    /// In the network of the command; absent where it may reach nothing.
    listener: Option<TcpListener>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    begun: Instant,
}

impl LocalProcesses {
    async fn start(&self, command: &Command, held: Cancel) -> Result<Running, ProcessError> {
        if command.line.len() > LINE_MAX {
            let most = LINE_MAX / 1024;
            let message = format!("the command is longer than {most} KiB; write it into a file and run that");
            return Err(ProcessError::Io(message));
        }
        if command.line.contains('\0') {
            return Err(ProcessError::Io("the command has a NUL byte in it".into()));
        }
        let timeout_ms = u64::try_from(command.timeout.as_millis()).unwrap_or(u64::MAX);
        let policy = Policy { act: Act::Shell(command.line.clone()), timeout_ms, ..self.policy.clone() };
        let (program, files) = (self.program.clone(), self.files.clone());
        let started = tokio::task::spawn_blocking(move || {
            let roots = files.roots().map_err(|error| ProcessError::Io(error.to_string()))?;
            let descriptors: Vec<BorrowedFd<'_>> = roots.collect();
            start(&program, &policy, &descriptors, held)
        });
        started.await.map_err(|_| ProcessError::Io("the server is shutting down".into()))?
    }

    /// Sees a command through, and serves its network till then.
    async fn attend(
        &self,
        (tree, listener): (Tree, Option<TcpListener>),
        output: impl Future<Output = Result<(), TooMuch>> + Send,
        witness: Arc<dyn Witness>,
    ) -> ProcessEnd {
        let Some(listener) = listener else { return see_through(tree, output).await };
        let (over, stop) = oneshot::channel::<()>();
        let served = self.egress.clone().serve_until(listener, witness, async move { drop(stop.await) });
        let ended = async {
            let end = see_through(tree, output).await;
            drop(over);
            end
        };
        tokio::join!(ended, served).0
    }

    fn place(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ProcessError> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            ProcessError::TooMany(format!(
                "{AT_ONCE} commands of this agent run already; wait for one or end one"
            ))
        })
    }
}

/// Starts a helper and puts it into a keeper's hands. Blocks.
fn start(
    program: &Program,
    policy: &Policy,
    descriptors: &[BorrowedFd<'_>],
    held: Cancel,
) -> Result<Running, ProcessError> {
    let begun = Instant::now();
    let failed = |Failed { stage, why }: Failed| ProcessError::Io(format!("{stage}: {why}"));
    let mut launched = launch(program, policy, descriptors).map_err(failed)?;
    let (stdout, stderr) = (launched.child.stdout.take(), launched.child.stderr.take());
    let lost = |_| ProcessError::Io("its socket was lost".into());
    let tree = Tree::keep(launched.child, launched.socket, launched.rest, policy, held).map_err(lost)?;
    if let Told::Failed { stage, why } = launched.told {
        return Err(failed(Failed { stage, why }));
    }
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(ProcessError::Io("its output was lost".into()));
    };
    let listener = launched.listener.map(|fd| TcpListener::from_std(fd.into())).transpose();
    let listener = listener.map_err(|_| ProcessError::Io("its way out was lost".into()))?;
    Ok(Running { tree, listener, stdout, stderr, begun })
}

/// Where what a stream brings goes.
enum Sink<'a> {
    Kept(&'a mut Capture),
    Logged(&'a Arc<Mutex<Writer>>, Stream),
}

impl Sink<'_> {
    async fn take(&mut self, piece: &[u8]) {
        match self {
            Self::Kept(capture) => capture.take(piece),
            Self::Logged(writer, stream) => write(writer, *stream, piece).await,
        }
    }
}

/// How much a command has written, and may.
struct Meter {
    seen: AtomicU64,
    most: u64,
}

impl Meter {
    fn up_to(most: u64) -> Self {
        Self { seen: AtomicU64::new(0), most }
    }

    fn count(&self, length: usize) -> Result<(), TooMuch> {
        let length = length as u64;
        let seen = self.seen.fetch_add(length, Ordering::Relaxed) + length;
        if seen > self.most { Err(TooMuch) } else { Ok(()) }
    }
}

/// More was written than anybody will read.
struct TooMuch;

/// Reads a stream to its end and hands over each piece.
async fn pump(mut stream: impl AsyncRead + Unpin, meter: &Meter, mut to: Sink<'_>) -> Result<(), TooMuch> {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        meter.count(length)?;
        to.take(&piece[..length]).await;
    }
    Ok(())
}

/// Waits for the end of a tree while its output is read; kills it where that is too much.
async fn see_through(mut tree: Tree, output: impl Future<Output = Result<(), TooMuch>>) -> ProcessEnd {
    tokio::pin!(output);
    let (mut read, mut over) = (false, false);
    let end = loop {
        tokio::select! {
            end = tree.end() => break end,
            within = &mut output, if !read => {
                read = true;
                over = within.is_err();
                if over {
                    tree.kill();
                }
            }
        }
    };
    if !read {
        // All writers are gone, so the end of the output is there, unless the kernel holds one.
        let _ = tokio::time::timeout(DRAIN, output).await;
    }
    if over {
        let message = format!("it wrote more than {} MiB; write to a file instead", OUTPUT_MAX >> 20);
        return ProcessEnd::OverLimit { limit: Limit::Output, message };
    }
    end
}

#[async_trait]
impl Processes for LocalProcesses {
    async fn run(
        &self,
        command: &Command,
        held: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<Ran, ProcessError> {
        let _place = self.place()?;
        let Running { tree, listener, stdout, stderr, begun } = self.start(command, held).await?;
        let (mut out, mut err) = (Capture::default(), Capture::default());
        let meter = Meter::up_to(OUTPUT_MAX);
        let output = async {
            tokio::try_join!(
                pump(stdout, &meter, Sink::Kept(&mut out)),
                pump(stderr, &meter, Sink::Kept(&mut err)),
            )
            .map(drop)
        };
        let end = self.attend((tree, listener), output, witness).await;
        let (stdout, stderr): (Captured, Captured) = (out.finish(), err.finish());
        Ok(Ran { end, stdout, stderr, took: begun.elapsed() })
    }

    async fn job(
        &self,
        job: &JobId,
        command: &Command,
        held: Cancel,
        witness: Arc<dyn Witness>,
    ) -> Result<ProcessEnd, ProcessError> {
        let _place = self.place()?;
        let (logs, name) = (self.logs.clone(), job.clone());
        let writer = blocking(move || logs.begin(&name)).await?;
        let Running { tree, listener, stdout, stderr, .. } = self.start(command, held).await?;
        let writer = Arc::new(Mutex::new(writer));
        // What a job writes is bounded by its log, so it may write for ever.
        let meter = Meter::up_to(u64::MAX);
        let output = async {
            tokio::try_join!(
                pump(stdout, &meter, Sink::Logged(&writer, Stream::Out)),
                pump(stderr, &meter, Sink::Logged(&writer, Stream::Err)),
            )
            .map(drop)
        };
        Ok(self.attend((tree, listener), output, witness).await)
    }

    async fn logs(&self, job: &JobId, since: u64, limit: usize) -> Result<JobLog, ProcessError> {
        let (logs, job) = (self.logs.clone(), job.clone());
        let read = tokio::task::spawn_blocking(move || logs.read(&job, since, limit)).await;
        read.map_err(|_| ProcessError::Io("the server is shutting down".into()))?
    }

    fn report(&self) -> Arc<SandboxReport> {
        self.report.clone()
    }
}

/// A piece that cannot be written is lost; the job goes on.
async fn write(writer: &Arc<Mutex<Writer>>, stream: Stream, piece: &[u8]) {
    let (writer, piece) = (writer.clone(), piece.to_owned());
    let written = blocking(move || crate::files::held(&writer).write(stream, &piece)).await;
    if let Err(error) = written {
        tracing::debug!(%error, "a piece of a job's log was lost");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ProcessError> {
    let failed = |error: std::io::Error| ProcessError::Io(format!("its log: {}", error.kind()));
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ProcessError::Io("the server is shutting down".into()))?.map_err(failed)
}
