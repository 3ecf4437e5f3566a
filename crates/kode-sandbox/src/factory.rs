//! Work directories of a host: making, opening and removing one for each agent.
//!
//! This is the only place that opens a path of the host's own; everything an agent names goes through
//! `files`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{FileError, ForkFiles, SandboxFactory, Workspace};
use kode_core::template::SandboxSpec;
use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::Semaphore;

use crate::egress::Rules;
use crate::files::{self, Allowed, Files, Root, fault};
use crate::workspace::{LocalWorkspace, blocking};
use crate::{forks, level};

/// What errors call the directory that holds the work directories: its path is the host's own affair.
const PARENT: &str = "the sandbox directory";
/// What errors call an agent's work directory.
pub(crate) const WORK: &str = "the work directory";
/// Only the owner.
const PRIVATE: Mode = Mode::RWXU;
/// A directory to look into and to sync.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Work directories on this machine: `PARENT/<agentId>`, opened beneath by the kernel.
///
/// Costs one descriptor, and one more for each open workspace and each of its allowed paths. Two agents
/// never share a directory, unless one is a fork that was asked to; two workspaces of one directory share its files
/// but not what they remember of them.
#[derive(Clone)]
pub struct LocalSandbox {
    pub(crate) parent: Arc<OwnedFd>,
    /// Held while a directory is shared, and while it is taken away from those who share none.
    pub(crate) sharing: Arc<Mutex<()>>,
    pub(crate) copies: Arc<Semaphore>,
}

impl LocalSandbox {
    /// Opens the directory that holds the work directories, making it (mode 0700) where it is missing.
    /// Blocks for a few system calls.
    ///
    /// # Errors
    /// [`FileError`] where the directory cannot be made or opened, or where the kernel lacks what file
    /// access rests on: `openat2` (Linux 5.6, not filtered out by a container) and `/proc`.
    pub fn new(parent: impl AsRef<Path>) -> Result<Self, FileError> {
        let parent = parent.as_ref();
        make_all(parent)?;
        let parent = fs::open(parent, DIRECTORY, Mode::empty()).map_err(|e| fault(PARENT, e))?;
        files::probe(&parent).map_err(|why| FileError::Io { path: PARENT.into(), why })?;
        Ok(Self { parent: Arc::new(parent), sharing: Arc::default(), copies: forks::places() })
    }
}

#[async_trait]
impl SandboxFactory for LocalSandbox {
    async fn open(&self, agent: &AgentId, spec: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError> {
        level::check(&spec.level)?;
        Rules::parse(&spec.network)?;
        let (parent, agent) = (self.parent.clone(), agent.clone());
        let allow = spec.allow_paths.clone();
        let files = blocking(WORK, move || {
            let work = work_directory(&parent, agent.as_str())?;
            Ok(Files::new(Root::new(work), open_allowed(&allow)?))
        })
        .await?;
        Ok(Arc::new(LocalWorkspace { files: Arc::new(files), level: spec.level.clone() }))
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), FileError> {
        let (parent, agent, sharing) = (self.parent.clone(), agent.clone(), self.sharing.clone());
        blocking(WORK, move || {
            let failed = |e| fault(WORK, e);
            files::clear_removed(&parent, agent.as_str()).map_err(failed)?;
            let held = files::held(&sharing);
            if files::is_shared(&parent, agent.as_str())? {
                return Ok(());
            }
            files::set_aside(&parent, agent.as_str()).map_err(failed)?;
            drop(held);
            files::clear_removed(&parent, agent.as_str()).map_err(failed)
        })
        .await
    }

    fn forks(&self) -> Option<&dyn ForkFiles> {
        Some(self)
    }
}

fn make_all(parent: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE.as_raw_mode())
        .create(parent)
        .map_err(|e| FileError::Io { path: PARENT.into(), why: format!("cannot be made: {}", e.kind()) })
}

/// Opens `parent/name`, which is made and made private where it is not. A link in its place is refused.
pub(crate) fn work_directory(parent: impl AsFd, name: &str) -> Result<OwnedFd, FileError> {
    match fs::mkdirat(&parent, name, PRIVATE) {
        Ok(()) => fs::fsync(&parent).map_err(|e| fault(WORK, e))?,
        Err(Errno::EXIST) => {}
        Err(e) => return Err(fault(WORK, e)),
    }
    let flags = DIRECTORY.union(OFlags::NOFOLLOW);
    let work = fs::openat(&parent, name, flags, Mode::empty()).map_err(|e| fault(WORK, e))?;
    fs::fchmod(&work, PRIVATE).map_err(|e| fault(WORK, e))?;
    Ok(work)
}

fn open_allowed(paths: &[String]) -> Result<Vec<Allowed>, FileError> {
    paths.iter().enumerate().map(|(index, path)| open_one_allowed(index, path)).collect()
}

/// The error names the setting by its index, as the path is the host's own.
fn open_one_allowed(index: usize, path: &str) -> Result<Allowed, FileError> {
    let refused =
        |why: &str| FileError::Io { path: format!("sandbox.allow_paths[{index}]"), why: why.to_owned() };
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(refused("must be an absolute path without \"..\""));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => Ok(Allowed::new(path, Root::new(fd))),
        Err(Errno::NOENT) => Err(refused("does not exist; make it or take it out of the list")),
        Err(Errno::NOTDIR) => Err(refused("is not a directory; name the directory that holds it")),
        Err(e) => Err(refused(&format!("cannot be opened: {}", std::io::Error::from(e).kind()))),
    }
}
