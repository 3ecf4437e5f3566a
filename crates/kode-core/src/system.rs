//! The real clock and real chance: what a runtime uses unless its host brings others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

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
