//! The sandbox of this machine through the suite of the port, as root or not.

use std::sync::Arc;

use kode_core::sandbox::SandboxFactory;
use kode_sandbox::LocalSandbox;
use kode_testkit::sandbox_suite::Bench;

struct Local {
    _dir: tempfile::TempDir,
    sandbox: LocalSandbox,
}

impl Local {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let sandbox = LocalSandbox::new(dir.path().join("agents")).expect("it can hold agents");
        Self { _dir: dir, sandbox: sandbox.with_helper(env!("CARGO_BIN_EXE_kode-sandbox-helper")) }
    }
}

impl Bench for Local {
    fn factory(&self) -> Arc<dyn SandboxFactory> {
        Arc::new(self.sandbox.clone())
    }
}

kode_testkit::sandbox_suite!(Local::new());
