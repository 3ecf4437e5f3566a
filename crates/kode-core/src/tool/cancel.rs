//! The word to a running call that its result is no longer wanted, and the word back that nothing of it is left.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// Tells a tool that blocks a thread that its result is no longer wanted. An asynchronous tool needs no
/// such thing: its future is dropped.
///
/// Whatever a call leaves behind for a moment, such as a thread or a process that is being killed, holds a clone: the
/// end of the call is told once the last one is dropped, within bounds.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    cancelled: AtomicBool,
    released: Arc<Released>,
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.released.tell();
    }
}

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// What the runtime keeps of it, without holding it.
    #[must_use]
    pub fn leash(&self) -> Leash {
        Leash { flag: Arc::downgrade(&self.0), released: self.0.released.clone() }
    }
}

/// A [`Cancel`] from outside: it can be asked to stop, and waited for, and is not held.
#[derive(Debug, Clone)]
pub struct Leash {
    flag: Weak<Flag>,
    released: Arc<Released>,
}

impl Leash {
    /// Asks to stop.
    pub fn cancel(&self) {
        if let Some(flag) = self.flag.upgrade() {
            Cancel(flag).cancel();
        }
    }

    /// Whether anyone holds it: then something of the call is still there.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.flag.strong_count() > 0
    }

    /// Returns once nobody holds it. Cancel safe.
    pub fn released(&self) -> impl Future<Output = ()> + Send + 'static {
        Release(self.released.clone())
    }
}

/// Whether the last holder let go, and who waits for that.
#[derive(Debug, Default)]
struct Released(Mutex<Wait>);

#[derive(Debug, Default)]
struct Wait {
    over: bool,
    wakers: Vec<Waker>,
}

impl Released {
    fn tell(&self) {
        let woken = {
            let mut wait = self.wait();
            wait.over = true;
            std::mem::take(&mut wait.wakers)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    fn wait(&self) -> MutexGuard<'_, Wait> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Leash::released`].
struct Release(Arc<Released>);

impl Future for Release {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut wait = self.0.wait();
        if wait.over {
            return Poll::Ready(());
        }
        if !wait.wakers.iter().any(|known| known.will_wake(cx.waker())) {
            wait.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_release_is_told_when_the_last_holder_lets_go() {
        let cancel = Cancel::default();
        let (leash, other) = (cancel.leash(), cancel.clone());
        let mut released = Box::pin(leash.released());
        leash.cancel();
        assert!(other.is_cancelled());
        drop(cancel);
        assert!(leash.is_held());
        assert_eq!((&mut released).now_or_never(), None);
        drop(other);
        assert!(!leash.is_held());
        assert_eq!(released.now_or_never(), Some(()));
        assert_eq!(leash.released().now_or_never(), Some(()), "also to one who asks later");
    }
}
