//! The PostgreSQL store does what every store does.

use async_trait::async_trait;
use kode_store_postgres::PgStore;
use kode_testkit::store_suite::{Bench, Clock};

use crate::server::{Server, start};

#[async_trait]
impl Bench for Server {
    type Store = PgStore;

    async fn open(&self) -> PgStore {
        self.store().await
    }

    /// What a commit did not wait for is in the server's memory, and goes with it.
    async fn power_cut(&self) -> bool {
        self.process().kill_9();
        self.process().again();
        true
    }

    fn clock(&self) -> Clock {
        Clock::Stores
    }
}

kode_testkit::store_suite!(start(&[])?);
