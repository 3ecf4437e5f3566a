//! The real clock and real chance: what a runtime uses unless its host brings others.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};

use crate::clock::{Clock, Ids};
use crate::id::{MessageId, Millis};

/// Longest single sleep: a clock that was set is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The system's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    async fn until(&self, at: Millis) {
        loop {
            let left = at.saturating_sub(self.now());
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
        }
    }

    fn steady(&self) -> Millis {
        // Where both began, for this process; what the system's time does after that plays no part.
        static BEGAN: OnceLock<Millis> = OnceLock::new();
        let since_boot = since_boot();
        BEGAN.get_or_init(|| self.now().saturating_sub(since_boot)).saturating_add(since_boot)
    }

    async fn until_steady(&self, at: Millis) {
        loop {
            let left = at.saturating_sub(self.steady());
            if left == 0 {
                return;
            }
            // A sleep does not count while the machine sleeps: what is due by then is noticed within one step.
            tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
        }
    }
}

/// Milliseconds since the machine was started, with those for which it was suspended.
fn since_boot() -> Millis {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let since = clock_gettime(CLOCK);
    let (secs, nanos) = (u64::try_from(since.tv_sec), u64::try_from(since.tv_nsec));
    secs.unwrap_or_default() * 1_000 + nanos.unwrap_or_default() / 1_000_000
}

/// ULIDs: unique, and sorted by time for people who read them.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn message_id(&self) -> MessageId {
        MessageId::new(format!("msg_{}", ulid::Ulid::generate().to_string().to_lowercase()))
    }

    fn agent_suffix(&self) -> String {
        ulid::Ulid::generate().to_string().to_lowercase()
    }
}
