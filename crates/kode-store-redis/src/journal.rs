//! The entries of agents: appended, elided and read, each in one step of the server.

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor, Epoch, Seq};
use kode_core::store::{After, Elision, Head, Lease, StoreError, StoreResult, check_batch};
use redis::{Value, cmd};

use crate::error::strange;
use crate::line;
use crate::redis_store::RedisStore;
use crate::script::{APPEND, Answer, Args, ELIDE, READ_CURSOR, Script};

impl RedisStore {
    /// The server checks the lease and the place, and then writes all entries or none. A batch with a flaw is checked
    /// as an empty one, so that it is told first what refuses it anyway.
    pub(crate) async fn append_batch(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
    ) -> StoreResult<()> {
        let flaw = check_batch(entries, expected, lease.epoch).err();
        let entries = if flaw.is_some() { &[] } else { entries };
        let answer = self.send_batch(&APPEND, lease, expected, entries, &self.request()).await?;
        match answer.word() {
            "appended" => flaw.map_or(Ok(()), Err),
            "conflict" => Err(StoreError::Conflict { expected, actual: Seq(answer.number(1)?) }),
            "falls" => {
                let epoch = entries.first().map_or(lease.epoch, |first| first.epoch);
                let current = Epoch(u32::try_from(answer.number(1)?).unwrap_or_default());
                Err(StoreError::Fenced { epoch, current })
            }
            _ => Err(answer.refusal(lease)),
        }
    }

    async fn send_batch(
        &self,
        append: &Script,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        request: &str,
    ) -> StoreResult<Answer> {
        let (seq, cursor) = entries.last().map_or((expected, Cursor::ZERO), |e| (e.seq, e.last_cursor()));
        let [first, last] = [entries.first(), entries.last()].map(|e| e.map_or(lease.epoch, |e| e.epoch));
        let args = Args::default().text(lease.epoch).text(expected).text(request).text(seq).text(cursor.0);
        let args = self.wakes.args(&lease.agent, args.text(first).text(last));
        let args = entries.iter().fold(args, |args, entry| args.text(entry.seq).bytes(line::text(entry)));
        let keys = [self.keys.agent(&lease.agent), self.keys.log(&lease.agent)];
        self.server.call(append, &keys, args).await
    }

    pub(crate) async fn elide_runs(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        let args = Args::default().text(lease.epoch);
        let args = runs.iter().fold(args, |args, Elision { from, entry }| {
            args.text(from).text(entry.seq).bytes(line::text(entry))
        });
        let keys = [self.keys.agent(&lease.agent), self.keys.log(&lease.agent)];
        let answer = self.server.call(&ELIDE, &keys, args).await?;
        match answer.word() {
            "elided" => Ok(()),
            "conflict" => {
                Err(StoreError::Conflict { expected: Seq(answer.number(1)?), actual: Seq(answer.number(2)?) })
            }
            _ => Err(answer.refusal(lease)),
        }
    }

    pub(crate) async fn read_page(
        &self,
        agent: &AgentId,
        after: After,
        limit: usize,
    ) -> StoreResult<Vec<Entry>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // What no journal is as long as is no bound.
        let limit = i64::try_from(limit).ok().filter(|limit| *limit < 1 << 32).unwrap_or(-1);
        let log = self.keys.log(agent);
        let page = match after {
            After::Seq(seq) => {
                let above = format!("({seq}");
                let read = cmd("ZRANGEBYSCORE")
                    .arg(log)
                    .arg(above)
                    .arg("+inf")
                    .arg("LIMIT")
                    .arg(0)
                    .arg(limit)
                    .take();
                self.server.ask(&read).await?
            }
            After::Cursor(cursor) => {
                let args = Args::default().text(cursor.0).text(limit);
                texts(self.server.value(&READ_CURSOR, &[self.keys.agent(agent), log], &args).await?)?
            }
        };
        line::entries(agent, &page)
    }

    pub(crate) async fn head_of(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        let fields = ["seq", "epoch", "cursor"];
        let read = cmd("HMGET").arg(self.keys.agent(agent)).arg(&fields).take();
        let (seq, epoch, cursor): (Option<u64>, Option<u32>, Option<u64>) = self.server.ask(&read).await?;
        Ok(seq.zip(epoch).zip(cursor).map(|((seq, epoch), cursor)| Head {
            seq: Seq(seq),
            epoch: Epoch(epoch),
            cursor: Cursor(cursor),
        }))
    }
}

fn texts(value: Value) -> StoreResult<Vec<Vec<u8>>> {
    let text = |value| match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(strange(READ_CURSOR.name, &other)),
    };
    match value {
        Value::Array(values) => values.into_iter().map(text).collect(),
        other => Err(strange(READ_CURSOR.name, &other)),
    }
}

#[cfg(test)]
mod tests {
    use kode_core::store::{Catalog as _, Journal as _};
    use kode_testkit::servers::RedisServer;
    use kode_testkit::store_suite::pen::{Pen, all, id, step};
    use kode_testkit::store_suite::run;

    use super::*;

    /// A client that lost the answer may send the very request once more (that of a cluster does); a caller that
    /// sends its batch once more makes a request of its own.
    #[test]
    fn g1_a_request_that_comes_twice_is_done_once_and_a_batch_that_comes_twice_is_a_conflict() {
        let Some(server) = RedisServer::start(&[]) else { return };
        run(async {
            let store = RedisStore::open(&server.url().parse().unwrap()).await.unwrap();
            let pen = Pen::take(&store, &id("a")).await;
            let batch = pen.entries([(step(1), 1), (step(2), 1)]);
            let request = store.request();
            for _ in 0..2 {
                let answer =
                    store.send_batch(&APPEND, &pen.lease, Seq::ZERO, &batch, &request).await.unwrap();
                assert_eq!(answer.word(), "appended");
            }
            assert_eq!(all(&store, &id("a")).await, batch);
            let again = store.append_batch(&pen.lease, Seq::ZERO, &batch).await;
            assert_eq!(again, Err(StoreError::Conflict { expected: Seq::ZERO, actual: Seq(2) }));
            assert_eq!(all(&store, &id("a")).await, batch);
            let request = store.request();
            for _ in 0..2 {
                assert_eq!(store.remove(&pen.lease, &request).await, Ok(()));
            }
            let fenced = StoreError::Fenced { epoch: pen.epoch(), current: pen.epoch() };
            assert_eq!(store.delete(pen.lease).await, Err(fenced));
            assert_eq!(store.head(&id("a")).await, Ok(None));
        });
    }

    /// What `g5_an_old_epoch_is_fenced_at_every_write` sees is the function's doing: without its look at the epoch an
    /// old writer's batch lands in the new one's journal.
    #[test]
    fn to_append_without_a_look_at_the_epoch_is_found_out() {
        const LOOK: &str = "local refused = fenced(ARGV[1])";
        let Some(server) = RedisServer::start(&[]) else { return };
        let code = concat!(include_str!("scripts/prelude.lua"), include_str!("scripts/append.lua"));
        assert_eq!(code.matches(LOOK).count(), 1);
        let blind = Script::new("append", &code.replace(LOOK, "local refused = nil"));
        run(async {
            let store = RedisStore::open(&server.url().parse().unwrap()).await.unwrap();
            let old = Pen::take(&store, &id("a")).await;
            let new = Pen::take(&store, &id("a")).await;
            let batch = old.entries([(step(1), 1)]);
            let mut landed = Vec::new();
            for append in [&*APPEND, &blind] {
                let answer = store.send_batch(append, &old.lease, Seq::ZERO, &batch, &store.request()).await;
                landed.push((answer.unwrap().word().to_owned(), all(&store, &id("a")).await.len()));
            }
            assert_eq!(landed, [("fenced".to_owned(), 0), ("appended".to_owned(), 1)]);
            assert!(new.epoch() > old.epoch());
        });
    }
}
