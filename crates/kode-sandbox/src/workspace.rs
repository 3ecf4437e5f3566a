//! The asynchronous face of one agent's files: each operation is one hop to a blocking thread.
//!
//! Dropping a future does not stop its operation: a write that was begun runs to its end, whole or not at
//! all. Nothing here knows how a file is opened.

use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{
    FileError, FileStat, ProcessError, Processes, SandboxReport, WalkEntry, WalkOptions, Workspace,
};

use crate::files::Files;
use crate::process::LocalProcesses;
use crate::setup::Wanted;

/// What an operator can do where a level cannot be had.
const HINT: &str = "see `kode doctor` for what this host lacks; a template that is to run with less says so in its \
                    sandbox.level (confined, hygiene or none)";

/// One agent's files and processes on this machine.
pub(crate) struct LocalWorkspace {
    agent: AgentId,
    files: Arc<Files>,
    wanted: Arc<Wanted>,
    /// Made when first asked for; absent where the level cannot be had.
    processes: OnceLock<Option<Box<LocalProcesses>>>,
}

impl LocalWorkspace {
    pub(crate) fn new(agent: AgentId, files: Files, wanted: Arc<Wanted>) -> Self {
        Self { agent, files: Arc::new(files), wanted, processes: OnceLock::new() }
    }

    async fn hop<T, F>(&self, path: &str, work: F) -> Result<T, FileError>
    where
        T: Send + 'static,
        F: FnOnce(&Files, &str) -> Result<T, FileError> + Send + 'static,
    {
        let (files, owned) = (self.files.clone(), path.to_owned());
        blocking(path, move || work(&files, &owned)).await
    }
}

/// Runs blocking work where it may block. A panic goes on in the caller; a runtime that is shutting down
/// is an error.
pub(crate) async fn blocking<T, F>(shown: &str, work: F) -> Result<T, FileError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, FileError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) if gone.is_panic() => resume_unwind(gone.into_panic()),
        Err(_) => Err(FileError::Io { path: shown.into(), why: "the runtime is shutting down".into() }),
    }
}

#[async_trait]
impl Workspace for LocalWorkspace {
    async fn stat(&self, path: &str) -> Result<FileStat, FileError> {
        self.hop(path, Files::stat).await
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FileError> {
        self.hop(path, move |files, path| files.read(path, limit)).await
    }

    async fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let content = content.to_owned();
        self.hop(path, move |files, path| files.write(path, &content)).await
    }

    async fn walk(
        &self,
        path: &str,
        options: WalkOptions,
        limit: usize,
    ) -> Result<(Vec<WalkEntry>, bool), FileError> {
        self.hop(path, move |files, path| files.walk(path, options, limit)).await
    }

    fn processes(&self) -> Result<&dyn Processes, ProcessError> {
        let refused = || ProcessError::Unavailable {
            asked: self.wanted.spec.level.clone(),
            missing: self.wanted.proven.missing.clone(),
            hint: HINT.into(),
        };
        let make = || self.wanted.processes(&self.agent, &self.files).map(Box::new);
        let processes = self.processes.get_or_init(make);
        processes.as_deref().map(|processes| processes as &dyn Processes).ok_or_else(refused)
    }

    fn report(&self) -> Arc<SandboxReport> {
        self.wanted.proven.report.clone()
    }
}
