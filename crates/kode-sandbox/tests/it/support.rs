//! A host with a sandbox, an agent in it, and somebody else's secret beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kode_core::id::AgentId;
use kode_core::sandbox::{FileError, SandboxFactory, WalkOptions, Workspace};
use kode_core::template::SandboxSpec;
use kode_sandbox::LocalSandbox;

/// What must never be read.
pub(crate) const SECRET: &[u8] = b"the other tenant's secret";

/// The host: a temporary directory that goes with it.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    pub(crate) sandbox: LocalSandbox,
    pub(crate) work: Arc<dyn Workspace>,
}

impl Host {
    pub(crate) async fn new() -> Self {
        Self::with(|_| SandboxSpec::default()).await
    }

    /// A host whose agent has the spec that is made of the host's directory.
    pub(crate) async fn with(spec: impl FnOnce(&Path) -> SandboxSpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), SECRET).unwrap();
        let sandbox = LocalSandbox::new(dir.path().join("agents")).unwrap();
        let work = sandbox.open(&agent(), &spec(dir.path())).await.unwrap();
        Self { dir, sandbox, work }
    }

    /// A path of the host's.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The host's path of a file in the work directory.
    pub(crate) fn at(&self, below: &str) -> PathBuf {
        self.path("agents").join(agent().as_str()).join(below)
    }

    /// Puts a file into the work directory without the workspace.
    pub(crate) fn put(&self, below: &str, content: impl AsRef<[u8]>) {
        let path = self.at(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Puts a link into the work directory.
    pub(crate) fn link(&self, target: impl AsRef<Path>, below: &str) {
        std::os::unix::fs::symlink(target, self.at(below)).unwrap();
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.work.read(path, 1 << 20).await
    }

    /// The paths of a walk.
    pub(crate) async fn walk(&self, path: &str, options: WalkOptions) -> Vec<String> {
        let (entries, more) = self.work.walk(path, options, 1_000).await.unwrap();
        assert!(!more, "the walk of a small tree is whole");
        entries.into_iter().map(|entry| entry.path).collect()
    }
}

pub(crate) fn agent() -> AgentId {
    AgentId::new("user:1").unwrap()
}

pub(crate) fn outside(path: &str) -> FileError {
    FileError::Outside(path.into())
}
