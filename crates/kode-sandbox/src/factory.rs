//! Work directories of a host: making, opening and removing one for each agent.
//!
//! This is the only place that opens a path of the host's own; everything an agent names goes through
//! `files`.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{FileError, ForkFiles, SandboxFactory, SandboxReport, Workspace};
use kode_core::template::SandboxSpec;
use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::{OnceCell, Semaphore};

use crate::egress::Rules;
use crate::files::{self, Allowed, Files, Home, Root, WORK, fault};
use crate::forks;
use crate::level::{Asked, Layer};
use crate::process::{self, Program, Proven};
use crate::setup::{Grounds, Wanted};
use crate::workspace::{LocalWorkspace, blocking};

/// What errors call the directory that holds the work directories: its path is the host's own affair.
const PARENT: &str = "the sandbox directory";
/// Only the owner.
const PRIVATE: Mode = Mode::RWXU;
/// A directory to look into and to sync.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Work directories that are opened at once. One disk does no more for more of them, and each thread keeps memory of its
/// own.
const OPENINGS_AT_ONCE: usize = 16;

/// What was found out about one level, once that was done.
type Proof = Arc<OnceCell<Arc<Proven>>>;

/// Work directories on this machine: `PARENT/<agentId>`, opened beneath by the kernel.
///
/// Processes are held by a helper: the program itself, if its `main` calls [`crate::helper::enter`] first, or another
/// that is named with [`Self::with_helper`]. Without one, only files can be worked with, and the report says so.
///
/// Costs one descriptor, one more for each allowed path of an open workspace, and one for its own directory once something
/// was done in it. Two agents never share a directory, unless one is a fork that was asked to; two workspaces of one
/// directory share its files but not what they remember of them.
#[derive(Clone)]
pub struct LocalSandbox {
    pub(crate) parent: Arc<OwnedFd>,
    /// Held while a directory is shared, and while it is taken away from those who share none.
    pub(crate) sharing: Arc<Mutex<()>>,
    pub(crate) copies: Arc<Semaphore>,
    openings: Arc<Semaphore>,
    grounds: Arc<Grounds>,
    /// What was found out about each level that was asked for.
    proofs: Arc<Mutex<HashMap<Asked, Proof>>>,
    /// What workspaces are made of, once for each template.
    wanted: Arc<Mutex<Vec<Weak<Wanted>>>>,
}

impl LocalSandbox {
    /// Opens the directory that holds the work directories, making it (mode 0700) where it is missing.
    /// Blocks for a few system calls.
    ///
    /// # Errors
    /// [`FileError`] where the directory cannot be made or opened, or where the kernel lacks what file
    /// access rests on: `openat2` (Linux 5.6, not filtered out by a container) and `/proc`.
    pub fn new(parent: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = parent.as_ref();
        make_all(path)?;
        let parent = fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| fault(PARENT, e))?;
        files::probe(&parent).map_err(|why| FileError::Io { path: PARENT.into(), why })?;
        let path = std::fs::canonicalize(path).map_err(|e| io_fault(PARENT, &e))?;
        let parent = Arc::new(parent);
        Ok(Self {
            parent,
            sharing: Arc::default(),
            copies: forks::places(),
            openings: Arc::new(Semaphore::new(OPENINGS_AT_ONCE)),
            grounds: Arc::new(Grounds {
                parent: path.into(),
                program: Program::of_this_process(),
                without: BTreeSet::new(),
                bubblewrap_only: false,
                silence: None,
            }),
            proofs: Arc::default(),
            wanted: Arc::default(),
        })
    }

    /// The same with another program as the helper: one whose `main` is [`crate::helper::run`].
    #[must_use]
    pub fn with_helper(mut self, program: impl Into<PathBuf>) -> Self {
        self.grounds_mut().program = Some(Program::At(program.into()));
        self
    }

    /// The same without some layers, to see what is reported then. Levels that need one of them are refused.
    #[must_use]
    pub fn without(mut self, layers: impl IntoIterator<Item = Layer>) -> Self {
        self.grounds_mut().without.extend(layers);
        self
    }

    /// The same with namespaces by way of bubblewrap only, as on hosts that allow them to no other program. Without this,
    /// that way is taken where the first one is refused. For a server that is not root.
    #[must_use]
    pub fn by_bubblewrap(mut self) -> Self {
        self.grounds_mut().bubblewrap_only = true;
        self
    }

    /// The same with an end for what runs under it when this process has been silent for so long, as when it is stopped:
    /// for one of several that take over from each other. Choose less than the time after which the others do.
    #[must_use]
    pub fn ending_after_silence(mut self, silence: Duration) -> Self {
        self.grounds_mut().silence = Some(silence);
        self
    }

    /// What a level is worth on this host: found out once, by attempts to break out of it, which takes some hundred
    /// milliseconds the first time. Where they could not be made, they are made again the next time.
    ///
    /// # Errors
    /// [`FileError`] where there is no such level.
    pub async fn prove(&self, level: &str) -> Result<SandboxReport, FileError> {
        Ok(SandboxReport::clone(&self.proven(Asked::parse(level)?).await.report))
    }

    /// The same, as it is shared by all workspaces of its template.
    fn shared(&self, wanted: Wanted) -> Arc<Wanted> {
        let mut known = files::held(&self.wanted);
        known.retain(|wanted| wanted.strong_count() > 0);
        let same = |known: &Arc<Wanted>| known.is(&wanted.grounds, &wanted.spec, &wanted.proven);
        known.iter().filter_map(Weak::upgrade).find(same).unwrap_or_else(|| {
            let wanted = Arc::new(wanted);
            known.push(Arc::downgrade(&wanted));
            wanted
        })
    }

    fn grounds_mut(&mut self) -> &mut Grounds {
        Arc::make_mut(&mut self.grounds)
    }

    async fn proven(&self, asked: Asked) -> Arc<Proven> {
        let cell = {
            let mut proofs = files::held(&self.proofs);
            let cell = proofs.entry(asked).or_default();
            // A host whose disk was full for a moment is not one without walls for good.
            if cell.get().is_some_and(|found| found.may_pass) {
                *cell = Proof::default();
            }
            cell.clone()
        };
        cell.get_or_init(|| async { Arc::new(self.find_out(asked).await) }).await.clone()
    }

    async fn find_out(&self, asked: Asked) -> Proven {
        let grounds = &self.grounds;
        match &grounds.program {
            Some(program) => process::prove(program, asked, grounds.policy(asked), &grounds.parent).await,
            None => process::without_helper(),
        }
    }
}

#[async_trait]
impl SandboxFactory for LocalSandbox {
    async fn open(&self, agent: &AgentId, spec: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError> {
        let asked = Asked::parse(&spec.level)?;
        let rules = Rules::parse(&spec.network)?;
        let proven = self.proven(asked).await;
        let (parent, name) = (self.parent.clone(), agent.clone());
        let allow = spec.allow_paths.clone();
        let place = self.openings.clone().acquire_owned().await;
        let files = blocking(WORK, move || {
            let _place = place;
            Ok(Files::new(Home::make(&parent, &name)?, open_allowed(&allow)?))
        })
        .await?;
        let (grounds, spec) = (self.grounds.clone(), spec.clone());
        let wanted = self.shared(Wanted { grounds, asked, spec, rules, proven });
        Ok(Arc::new(LocalWorkspace::new(agent.clone(), files, wanted)))
    }

    async fn prepare(&self, wishes: &SandboxSpec) {
        // A level that is none is refused when it is opened.
        if let Ok(asked) = Asked::parse(&wishes.level) {
            self.proven(asked).await;
        }
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), FileError> {
        let (parent, agent, sharing) = (self.parent.clone(), agent.clone(), self.sharing.clone());
        let path = self.grounds.parent.clone();
        blocking(WORK, move || {
            let failed = |e| fault(WORK, e);
            process::forget_logs(&path, agent.as_str()).map_err(|e| io_fault(WORK, &e))?;
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

    fn report(&self) -> SandboxReport {
        let strict = Asked::STRICT;
        let cell = files::held(&self.proofs).get(&strict).cloned();
        let found = cell.and_then(|cell| cell.get().map(|proven| SandboxReport::clone(&proven.report)));
        found.unwrap_or_else(|| SandboxReport { level: "unknown".into(), ..SandboxReport::default() })
    }

    fn forks(&self) -> Option<&dyn ForkFiles> {
        Some(self)
    }
}

fn io_fault(path: &str, error: &std::io::Error) -> FileError {
    FileError::Io { path: path.into(), why: error.kind().to_string() }
}

fn make_all(parent: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE.as_raw_mode())
        .create(parent)
        .map_err(|e| FileError::Io { path: PARENT.into(), why: format!("cannot be made: {}", e.kind()) })
}

/// One within another would be opened and shown by a name that whoever may write in the other can lead elsewhere.
fn open_allowed(paths: &[String]) -> Result<Vec<Allowed>, FileError> {
    let within =
        |inner: &String| paths.iter().position(|path| path != inner && Path::new(inner).starts_with(path));
    let open = |(index, path): (usize, &String)| {
        let allowed = open_one_allowed(index, path)?;
        within(path).map_or(Ok(allowed), |outer| {
            Err(refused(index, &format!("lies within allow_paths[{outer}]; take it out of the list")))
        })
    };
    paths.iter().enumerate().map(open).collect()
}

/// The error names the setting by its index, as the path is the host's own.
fn refused(index: usize, why: &str) -> FileError {
    FileError::Io { path: format!("sandbox.allow_paths[{index}]"), why: why.to_owned() }
}

fn open_one_allowed(index: usize, path: &str) -> Result<Allowed, FileError> {
    let refused = |why: &str| refused(index, why);
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
