//! A machine's own clock: it may be wrong by a constant, and run too fast or too slow.

use std::time::Duration;

use async_trait::async_trait;
use kode_core::clock::Clock;
use kode_core::id::Millis;
use tokio::time::Instant;

/// How wrong a clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skew {
    /// What it shows at the world's beginning, beyond the right time.
    pub ahead: i64,
    /// How much too fast it runs, in millionths.
    pub drift: i64,
}

impl Skew {
    /// What it shows after so many right milliseconds, from `start` on.
    #[must_use]
    pub fn shows(self, start: Millis, passed: Millis) -> Millis {
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let drifted = i128::from(passed) * i128::from(self.drift) / 1_000_000;
        let drifted = i64::try_from(drifted).unwrap_or(0);
        start.saturating_add_signed(self.ahead).saturating_add_signed(passed.saturating_add(drifted))
    }
}

impl Skew {
    /// How long it takes by the right time until it has gone on by so much.
    fn takes(self, time: Millis) -> Duration {
        let speed = u64::try_from(1_000_000 + self.drift).unwrap_or(1).max(1);
        Duration::from_millis(time.saturating_mul(1_000_000).div_ceil(speed).max(1))
    }
}

/// The clock of the machine whose task asks: it goes on with that machine's paused time.
#[derive(Debug, Clone, Copy)]
pub struct HostClock {
    skew: Skew,
    /// The right time when the machine began.
    start: Millis,
    /// How long the world had been there by then.
    age: Millis,
    began: Instant,
}

impl HostClock {
    /// The clock of a machine that begins now, in a world of this age. To be made on that machine.
    #[must_use]
    pub fn begin(skew: Skew, start: Millis, age: Millis) -> Self {
        Self { skew, start, age, began: Instant::now() }
    }
}

#[async_trait]
impl Clock for HostClock {
    fn now(&self) -> Millis {
        let here = Millis::try_from(self.began.elapsed().as_millis()).unwrap_or(Millis::MAX);
        self.skew.shows(self.start, self.age.saturating_add(here))
    }

    async fn until(&self, at: Millis) {
        loop {
            let left = at.saturating_sub(self.now());
            if left == 0 {
                return;
            }
            tokio::time::sleep(self.skew.takes(left)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fast_clock_is_ahead_and_gets_further_ahead() {
        let clock = HostClock::begin(Skew { ahead: 500, drift: 10_000 }, 1_000, 0);
        assert_eq!(clock.now(), 1_500);
        clock.until(1_500 + 10_100).await;
        assert_eq!(clock.now(), 11_600, "ten seconds of the world");
        assert_eq!(clock.began.elapsed(), Duration::from_secs(10));
    }

    #[test]
    fn a_slow_clock_falls_behind() {
        let slow = Skew { ahead: -2_000, drift: -1_000 };
        assert_eq!(slow.shows(10_000, 0), 8_000);
        assert_eq!(slow.shows(10_000, 1_000_000), 8_000 + 999_000);
    }
}
