//! A store of one's own: the one in memory, with a count of what is written to it. A decorator says only what
//! differs; a backend implements the ports. `kode_testkit::store_suite` tells whether either keeps the
//! contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use examples::glm;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Seq};
use kode_core::store::decorate::Decorator;
use kode_core::store::memory::MemoryStore;
use kode_core::store::{Durability, Lease, Store, StoreResult};
use kode_core::template::Template;
use kode_core::{AgentSpec, Runtime};
use kode_sandbox::LocalSandbox;

/// Counts entries.
#[derive(Default)]
struct Counting {
    memory: MemoryStore,
    written: AtomicUsize,
}

#[async_trait]
impl Decorator for Counting {
    fn inner(&self) -> &dyn Store {
        &self.memory
    }

    async fn append(&self, lease: &Lease, at: Seq, entries: &[Entry], grade: Durability) -> StoreResult<()> {
        self.inner().append(lease, at, entries, grade).await?;
        self.written.fetch_add(entries.len(), Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = Arc::new(Counting::default());
    let sandboxes = Arc::new(LocalSandbox::new("./workspace")?);
    let runtime = Runtime::builder(store.clone(), glm()?, sandboxes)
        .template(Template::new("chat", "You are a helpful assistant."))
        .default_model("glm-4.5-air")
        .build()?;
    let agent = runtime.resume_or_create(&AgentId::new("user:me")?, AgentSpec::default()).await?.agent;
    println!("{}", agent.complete("Hello!").await?.text);
    println!("{} entries were written", store.written.load(Ordering::Relaxed));
    Ok(())
}
