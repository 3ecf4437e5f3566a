//! Whose clock counts, and how a case waits for the end of what was granted for a while.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kode_core::id::{AgentId, Millis};
use kode_core::store::{Lease, Store, StoreError, StoreResult};

use super::Bench;
use super::pen::{HOLDER, NOW, TTL};

/// Whose clock says whether a lease, or a node's word, has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The caller's: cases say what time it is, to the millisecond, and none passes by itself.
    Callers,
    /// The store's own: time passes by itself, and no caller's clock is believed.
    Stores,
}

/// The time of one case. Callers always say that it is [`NOW`], unless theirs is the clock that counts.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    clock: Clock,
    began: Instant,
}

/// For how long a store of its own clock grants what a case waits for the end of.
const SHORT: Millis = 200;
/// What a store takes that has stopped answering.
const PATIENCE: Duration = Duration::from_secs(30);

impl Time {
    /// The time of a case that begins now.
    pub fn begin(bench: &impl Bench) -> Self {
        Self { clock: bench.clock(), began: Instant::now() }
    }

    /// The clock that counts.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What the clock that counts says when a caller's says this. A bench's store is on this machine.
    #[must_use]
    pub fn counting(&self, callers: Millis) -> Millis {
        match self.clock {
            Clock::Callers => callers,
            Clock::Stores => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
                u64::try_from(since.as_millis()).expect("the clock is set")
            }
        }
    }

    /// Has something granted for a ttl at a time, and tells what `ended` tells at its end: not a moment before.
    ///
    /// # Panics
    /// If it ends too early, or does not end.
    pub async fn end<G, T>(
        &self,
        grant: impl AsyncFnOnce(Millis, Millis) -> G,
        ended: impl AsyncFn(&G, Millis) -> Option<T>,
    ) -> (G, T) {
        match self.clock {
            Clock::Callers => {
                let granted = grant(TTL, NOW).await;
                for early in [NOW, NOW + TTL - 1] {
                    assert!(ended(&granted, early).await.is_none(), "it has ended at {early}");
                }
                let told = ended(&granted, NOW + TTL).await.expect("it has ended");
                (granted, told)
            }
            Clock::Stores => {
                let began = Instant::now();
                let granted = grant(SHORT, NOW).await;
                let told = poll(&ended, &granted).await;
                // A clock of milliseconds may cut off almost one.
                let passed = began.elapsed() + Duration::from_millis(1);
                assert!(passed >= Duration::from_millis(SHORT), "it has ended after {passed:?}");
                (granted, told)
            }
        }
    }

    /// Has another holder take an agent at the end of a lease that was taken, or prolonged, by `grant`.
    ///
    /// # Panics
    /// If it is not refused as one whose lease is held until then.
    pub async fn take_over(
        &self,
        store: &impl Store,
        agent: &AgentId,
        other: &str,
        grant: impl AsyncFnOnce(Millis, Millis) -> StoreResult<Lease>,
    ) -> (Lease, Lease) {
        let granted = async |ttl, now| {
            let lease = grant(ttl, now).await.expect("the lease is free");
            assert_eq!(lease.expires, now + ttl);
            lease
        };
        let ended = async |old: &Lease, now| match store.acquire(agent, other, TTL, now).await {
            Ok(lease) => Some(lease),
            refused => {
                self.assert_held(refused, old.expires);
                None
            }
        };
        self.end(granted, ended).await
    }

    /// That a holder is told, at [`NOW`] where its clock does not count, that [`HOLDER`] has the lease until then.
    ///
    /// # Panics
    /// If it is not.
    pub fn assert_held(&self, refused: StoreResult<Lease>, until: Millis) {
        match refused {
            Err(StoreError::Held { until: told, holder }) if holder == HOLDER => self.assert_end(told, until),
            other => panic!("not held by {HOLDER}: {other:?}"),
        }
    }

    /// That something granted within this case ends when it is told to: by a caller's clock that stands still,
    /// what has passed of it is gone.
    ///
    /// # Panics
    /// If it does not.
    pub fn assert_end(&self, told: Millis, until: Millis) {
        let passed = match self.clock {
            Clock::Callers => 0,
            Clock::Stores => u64::try_from(self.began.elapsed().as_millis()).expect("cases are short") + 1,
        };
        assert!(
            (until.saturating_sub(passed)..=until).contains(&told),
            "{told} is not {until} less {passed}"
        );
    }

    /// A time to ask at, of which a store that believes its callers learns that `ttl` has passed since [`NOW`];
    /// for others as much as a case waits.
    pub async fn pass(&self, ttl: Millis) -> Millis {
        match self.clock {
            Clock::Callers => NOW + ttl,
            Clock::Stores => {
                tokio::time::sleep(Duration::from_millis(ttl)).await;
                NOW
            }
        }
    }

    /// The ttl to grant where a case lets it [`Time::pass`].
    #[must_use]
    pub fn ttl(&self) -> Millis {
        match self.clock {
            Clock::Callers => TTL,
            Clock::Stores => SHORT,
        }
    }
}

async fn poll<G, T>(ended: impl AsyncFn(&G, Millis) -> Option<T>, granted: &G) -> T {
    let began = Instant::now();
    loop {
        if let Some(told) = ended(granted, NOW).await {
            return told;
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
