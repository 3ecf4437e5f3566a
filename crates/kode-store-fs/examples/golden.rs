//! Writes one new set of journals for `fixtures/journals`: run by `cargo xtask golden add NAME`.

use std::path::Path;
use std::sync::Arc;
use std::{env, fs};

use kode_store_fs::FsStore;
use kode_testkit::golden;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = env::args().nth(1).ok_or("golden DIR: the directory of the new set")?;
    let dir = Path::new(&dir);
    if dir.exists() {
        return Err(
            format!("{} is there; what was written once is never written again", dir.display()).into()
        );
    }
    let store = dir.join("store");
    fs::create_dir_all(dir)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(golden::fill(Arc::new(FsStore::open(&store)?)));
    drop(runtime);
    for name in [".lock", ".reserve"] {
        fs::remove_file(store.join(name))?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let snapshot = runtime.block_on(async {
        Ok::<_, kode_core::store::StoreError>(golden::snapshot(&FsStore::open_read_only(&store)?).await)
    })?;
    fs::write(dir.join("expected.json"), format!("{snapshot:#}\n"))?;
    Ok(())
}
