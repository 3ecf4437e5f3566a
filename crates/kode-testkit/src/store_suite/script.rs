//! Random operations on two stores at once: whatever is done, both say the same.

use kode_core::id::{AgentId, Cursor, Epoch, Millis, Seq};
use kode_core::store::{After, Durability, Head, Holder, Lease, Store, StoreError, StoreResult};

use super::blobs::name;
use super::checkpoints::checkpoint;
use super::elision::runs;
use super::pen::{NOW, Pen, TTL, all, chunk, id, step};
use super::time::Clock;

/// One operation, as four random bytes: which, on what, and two amounts. Every value is one.
pub type Op = [u8; 4];

const AGENTS: [&str; 3] = ["user:1", "user:12", "user:1:session:a"];
const HOLDERS: [&str; 2] = ["node-1", "node-2"];

/// Both stores do the same; leases are common, since both grant the same epochs.
struct Pair<'s, A, B> {
    stores: (&'s A, &'s B),
    /// The second's: the first believes its callers.
    clock: Clock,
    now: Millis,
    /// Every lease that was ever granted, the last one last.
    leases: Vec<Lease>,
}

/// Does the operations on both stores; tells how many had an effect. `a` believes its callers what time it is; `b` may
/// have a clock of its own, and then `a` is told what `b`'s is, by the epochs that it grants.
///
/// # Panics
/// If the stores differ.
pub async fn run<A: Store, B: Store>(a: &A, b: &B, clock: Clock, script: &[Op]) -> usize {
    let mut pair = Pair { stores: (a, b), clock, now: NOW, leases: Vec::new() };
    let mut effective = 0;
    for (number, op) in script.iter().enumerate() {
        let (left, right) = pair.step(*op).await;
        assert_eq!(left, right, "operation {number}, {op:?}");
        effective += usize::from(left.starts_with("Ok"));
    }
    pair.compare().await;
    effective
}

/// A time at which this epoch is the first that is granted.
fn time_of(epoch: Epoch) -> Millis {
    let first = Epoch::grant(Epoch::ZERO, Epoch::ZERO, NOW);
    NOW + Millis::from(epoch.0 - first.0) * 8_000
}

fn said<T: std::fmt::Debug>(a: StoreResult<T>, b: StoreResult<T>) -> (String, String) {
    (format!("{a:?}"), format!("{b:?}"))
}

impl<A: Store, B: Store> Pair<'_, A, B> {
    async fn step(&mut self, [kind, what, x, y]: Op) -> (String, String) {
        if self.clock == Clock::Callers {
            self.now += Millis::from(y) * 200;
        }
        let agent = id(AGENTS[usize::from(what) % AGENTS.len()]);
        // Mostly the newest lease of the agent, sometimes any.
        let mut candidates = self.leases.iter().rev().filter(|lease| lease.agent == agent || x > 230);
        let lease = candidates.nth(if x > 200 { usize::from(y) % 4 } else { 0 }).cloned();
        let (a, b) = self.stores;
        match (kind % 16, lease) {
            (0..=1, _) | (_, None) => self.acquire(&agent, x).await,
            (2..=8, Some(lease)) => self.append(&lease, x, y).await,
            (9, Some(lease)) if y < 64 && self.clock == Clock::Stores => self.expire(&lease).await,
            (9, Some(lease)) => {
                said(a.renew(&lease, TTL, self.now).await, b.renew(&lease, TTL, self.now).await)
            }
            (15, Some(_)) => self.holder(&agent).await,
            (10, Some(lease)) => {
                let clean = y.is_multiple_of(2);
                said(a.release(lease.clone(), clean).await, b.release(lease, clean).await)
            }
            (11, Some(lease)) => {
                let saved = checkpoint(u64::from(y % 16), "x");
                said(a.save_checkpoint(&lease, &saved).await, b.save_checkpoint(&lease, &saved).await)
            }
            (14, Some(lease)) => self.elide(&lease).await,
            (12, Some(lease)) if y < 128 => said(a.delete(lease.clone()).await, b.delete(lease).await),
            (13, Some(lease)) => {
                let (blob, bytes) = (name(&format!("b{}", x % 3)), vec![x; y.into()].into());
                said(a.put_blob(&lease, &blob, &bytes).await, b.put_blob(&lease, &blob, &bytes).await)
            }
            (_, Some(_)) => self.read(&agent, x, y).await,
        }
    }

    async fn acquire(&mut self, agent: &AgentId, x: u8) -> (String, String) {
        let (a, b) = self.stores;
        let holder = HOLDERS[usize::from(x) % HOLDERS.len()];
        // A script takes less than the longer ttl, by a clock that nobody can set.
        let ttl = if self.clock == Clock::Stores { TTL * 100 } else { TTL / 4 };
        let granted = b.acquire(agent, holder, ttl, self.now).await;
        let now = match &granted {
            Ok(lease) if self.clock == Clock::Stores => time_of(lease.epoch),
            Ok(_) | Err(_) => self.now,
        };
        let expected = a.acquire(agent, holder, ttl, now).await;
        self.leases.extend(expected.iter().cloned());
        said(self.timeless(expected), self.timeless(granted))
    }

    /// A lease without its end where that is by two clocks.
    fn timeless(&self, told: StoreResult<Lease>) -> StoreResult<Lease> {
        match (self.clock, told) {
            (Clock::Stores, Ok(lease)) => Ok(Lease { expires: 0, ..lease }),
            (Clock::Stores, Err(StoreError::Held { holder, .. })) => {
                Err(StoreError::Held { until: 0, holder })
            }
            (_, told) => told,
        }
    }

    /// Lets a lease end, if it is in force: by a renewal that is over when it returns.
    async fn expire(&self, lease: &Lease) -> (String, String) {
        let (a, b) = self.stores;
        // Long ago by the clock of the first, and no time at all by that of the second.
        said(a.renew(lease, 0, 0).await.map(|_| ()), b.renew(lease, 0, self.now).await.map(|_| ()))
    }

    async fn holder(&self, agent: &AgentId) -> (String, String) {
        let (a, b) = self.stores;
        let now = if self.clock == Clock::Stores { 1 } else { self.now };
        let both = (a.holder(agent, now).await, b.holder(agent, now).await);
        let expires = |clock| {
            move |holder: Holder| match clock {
                Clock::Callers => holder,
                Clock::Stores => Holder { expires: 0, ..holder },
            }
        };
        let timeless = |told: StoreResult<Option<Holder>>| told.map(|told| told.map(expires(self.clock)));
        said(timeless(both.0), timeless(both.1))
    }

    /// A batch of zero to three entries with zero to four events each, sometimes at a wrong place.
    async fn append(&mut self, lease: &Lease, x: u8, y: u8) -> (String, String) {
        let (a, b) = self.stores;
        let head = a.head(&lease.agent).await.expect("the head can be read").unwrap_or_default();
        let wrong = u64::from(y > 240);
        let pen = Pen { lease: lease.clone(), head: Head { seq: Seq(head.seq.0 + wrong), ..head } };
        let facts = (0..x % 4).map(|n| match (y >> n) % 5 {
            1 => (step(n.into()), 1),
            events => (chunk("x", events.into()), events.into()),
        });
        let batch = pen.entries(facts);
        let grade = if x.is_multiple_of(3) { Durability::Synced } else { Durability::Buffered };
        let expected = pen.head.seq;
        said(a.append(lease, expected, &batch, grade).await, b.append(lease, expected, &batch, grade).await)
    }

    /// Has what the checkpoint covers elided; no run may go on in what is appended next.
    async fn elide(&self, lease: &Lease) -> (String, String) {
        let (a, b) = self.stores;
        let entries = all(a, &lease.agent).await;
        let covered = a.load_checkpoint(&lease.agent).await.expect("a checkpoint can be loaded");
        let covered = covered.map(|checkpoint| checkpoint.seq).unwrap_or_default();
        let goes_on = entries.last().is_some_and(|last| last.fact.may_be_buffered());
        let mut runs = if goes_on { Vec::new() } else { runs(&entries) };
        runs.retain(|run| run.entry.seq <= covered);
        said(a.elide(lease, &runs).await, b.elide(lease, &runs).await)
    }

    async fn read(&self, agent: &AgentId, x: u8, y: u8) -> (String, String) {
        let (a, b) = self.stores;
        let limit = usize::from(y % 8);
        let after = match self.leases.iter().rev().nth(usize::from(x % 4)) {
            Some(lease) if x.is_multiple_of(2) => {
                After::Cursor(Cursor::start_of(lease.epoch).plus(u32::from(y % 12)))
            }
            Some(_) | None => After::Seq(Seq(u64::from(x % 32))),
        };
        said(a.read(agent, after, limit).await, b.read(agent, after, limit).await)
    }

    /// Everything that can be seen of both.
    async fn compare(&self) {
        let (a, b) = self.stores;
        for agent in AGENTS.map(id) {
            assert_eq!(all(a, &agent).await, all(b, &agent).await);
            assert_eq!(a.head(&agent).await, b.head(&agent).await);
            assert_eq!(a.load_checkpoint(&agent).await, b.load_checkpoint(&agent).await);
            for blob in ["b0", "b1", "b2"].map(name) {
                let whole =
                    (a.read_blob(&agent, &blob, 0, 300).await, b.read_blob(&agent, &blob, 0, 300).await);
                assert_eq!(whole.0, whole.1);
            }
        }
        assert_eq!(a.list("", None, 10).await, b.list("", None, 10).await);
        assert_eq!(a.list("user:1", None, 10).await, b.list("user:1", None, 10).await);
        assert_eq!(a.unfinished().await, b.unfinished().await);
    }
}
