//! A machine of the simulated world: its tasks on a runtime of their own, on the one thread of the simulation, in
//! paused time. So it can be stopped while time goes on for the others, and lost with everything that it was doing.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A machine. Dropped, it is lost.
#[derive(Debug)]
pub struct Host {
    runtime: Runtime,
    /// How long it has been stopped; none while it runs.
    stopped: Option<Duration>,
}

impl Host {
    /// A machine that does nothing yet.
    ///
    /// # Panics
    /// Where no runtime can be built.
    #[must_use]
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        Self { runtime: runtime.expect("a runtime without I/O needs nothing of the system"), stopped: None }
    }

    /// A handle to set tasks going on it. On a machine that was lost they are dropped at once.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Sets a task going. On a stopped machine it begins when that goes on.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.runtime.spawn(task)
    }

    /// Runs something to its end with all tasks beside it; the machine's time passes as far as that needs.
    pub fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// Lets time pass: its tasks run for so long, unless it is stopped.
    pub fn pass(&mut self, time: Duration) {
        match &mut self.stopped {
            Some(stopped) => *stopped += time,
            None => self.runtime.block_on(async { tokio::time::sleep(time).await }),
        }
    }

    /// Stops all its tasks where they are. Time goes on without them.
    pub fn stop(&mut self) {
        self.stopped.get_or_insert(Duration::ZERO);
    }

    /// Lets its tasks go on: all at once they see how late it is.
    pub fn go_on(&mut self) {
        if let Some(stopped) = self.stopped.take() {
            self.runtime.block_on(async { tokio::time::advance(stopped).await });
        }
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Counts seconds on a machine, and notes what time it is there.
    fn counting(host: &Host) -> (Arc<AtomicU64>, Arc<AtomicU64>) {
        let (ticks, passed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, told) = (ticks.clone(), passed.clone());
        host.spawn(async move {
            let began = tokio::time::Instant::now();
            loop {
                tokio::time::timeout(SECOND, std::future::pending::<()>()).await.unwrap_err();
                counted.fetch_add(1, Ordering::Relaxed);
                told.store(began.elapsed().as_secs(), Ordering::Relaxed);
            }
        });
        (ticks, passed)
    }

    #[test]
    fn a_stopped_machine_does_nothing_and_then_sees_how_late_it_is() {
        let mut host = Host::new();
        let (ticks, passed) = counting(&host);
        let read = || (ticks.load(Ordering::Relaxed), passed.load(Ordering::Relaxed));
        (0..3500).for_each(|_| host.pass(Duration::from_millis(1)));
        assert_eq!(read(), (3, 3));
        host.stop();
        (0..60).for_each(|_| host.pass(SECOND));
        assert_eq!(read(), (3, 3));
        host.go_on();
        host.pass(Duration::from_millis(1));
        assert_eq!(read(), (4, 63), "one wait ended, a minute late");
    }

    #[test]
    fn a_lost_machine_drops_its_tasks_and_takes_no_more() {
        let mut host = Host::new();
        let held = Arc::new(());
        let (inside, handle) = (held.clone(), host.handle());
        host.spawn(async move {
            std::future::pending::<()>().await;
            drop(inside);
        });
        host.pass(Duration::from_millis(1));
        assert_eq!(Arc::strong_count(&held), 2);
        drop(host);
        assert_eq!(Arc::strong_count(&held), 1);
        let late = held.clone();
        drop(handle.spawn(async move { drop(late) }));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
