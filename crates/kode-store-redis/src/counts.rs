//! Counts by name and day: a hash for each day, which the server forgets three days after its last addition.

use async_trait::async_trait;
use kode_core::store::counters::{Counters, Day};
use kode_core::store::{StoreError, StoreResult};
use redis::cmd;

use crate::redis_store::RedisStore;
use crate::script::{Args, COUNT};

/// How often a sum beyond the server's own range is tried while others add to it.
const TRIES: usize = 64;

#[async_trait]
impl Counters for RedisStore {
    async fn add(&self, name: &str, day: Day, n: u64) -> StoreResult<u64> {
        let keys = [self.keys.counts(day)];
        for _ in 0..TRIES {
            let answer = self.server.call(&COUNT, &keys, Args::default().text(name).text(n)).await?;
            let seen = match answer.word() {
                "counted" => return answer.number(1),
                "large" => answer.number(1)?,
                _ => return Err(answer.strange()),
            };
            let args = Args::default().text(name).text(seen).text(seen.saturating_add(n));
            let answer = self.server.call(&COUNT, &keys, args).await?;
            match answer.word() {
                "counted" => return answer.number(1),
                "changed" => {}
                _ => return Err(answer.strange()),
            }
        }
        Err(StoreError::Unavailable("too many add to one count at once".into()))
    }

    async fn count(&self, name: &str, day: Day) -> StoreResult<u64> {
        let count: Option<u64> = self.server.ask(cmd("HGET").arg(self.keys.counts(day)).arg(name)).await?;
        Ok(count.unwrap_or_default())
    }
}
