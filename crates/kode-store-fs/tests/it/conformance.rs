//! The file store does what every store does.

use async_trait::async_trait;
use kode_store_fs::FsStore;
use kode_testkit::store_suite::Bench;
use tempfile::TempDir;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }
}

#[async_trait]
impl Bench for Files {
    type Store = FsStore;

    async fn open(&self) -> FsStore {
        FsStore::open(self.0.path()).expect("nobody else has it open")
    }
}

kode_testkit::store_suite!(Files::new());
