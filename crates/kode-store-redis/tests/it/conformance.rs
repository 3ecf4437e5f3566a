//! The Redis store does what every store does.

use std::sync::Mutex;

use async_trait::async_trait;
use kode_store_redis::RedisStore;
use kode_testkit::servers::RedisServer;
use kode_testkit::store_suite::{Bench, Clock};

struct Private(Mutex<RedisServer>);

impl Private {
    fn start() -> Option<Self> {
        RedisServer::start(&[]).map(|server| Self(Mutex::new(server)))
    }
}

#[async_trait]
impl Bench for Private {
    type Store = RedisStore;

    async fn open(&self) -> RedisStore {
        let url = self.0.lock().expect("nothing panics with it").url();
        RedisStore::open(&url.parse().expect("it is a url")).await.expect("the server is there")
    }

    /// The server dies, and nothing at all may be gone.
    async fn power_cut(&self) -> bool {
        self.0.lock().expect("nothing panics with it").start_again();
        false
    }

    fn clock(&self) -> Clock {
        Clock::Stores
    }
}

kode_testkit::store_suite!(Private::start()?);
