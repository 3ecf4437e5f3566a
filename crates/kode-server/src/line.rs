//! A connection that gives up on a silent peer: one that says nothing at first, or does not read what is
//! written to it. Without it, such peers hold their connections, and what is buffered for them, for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::metrics::Metrics;

/// A byte stream with patience.
pub(crate) struct Line<T> {
    inner: T,
    /// Until when the peer must have said something; none once it has.
    greeting: Option<Pin<Box<Sleep>>>,
    /// How long a write may stand still.
    patience: Duration,
    /// Until when the write that stands still must have moved.
    stalled: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
}

impl<T> Line<T> {
    /// A peer has `greeting` to say its first byte, and `patience` to take what is written to it.
    pub(crate) fn new(inner: T, greeting: Duration, patience: Duration, metrics: Arc<Metrics>) -> Self {
        let greeting = Some(Box::pin(tokio::time::sleep(greeting)));
        Self { inner, greeting, patience, stalled: None, metrics }
    }

    /// Passes a write's progress on, and counts the time while it makes none.
    fn watch<R>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        self.metrics.slow_reader();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Line<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            self.greeting = None;
        } else if let Some(greeting) = &mut self.greeting {
            ready!(greeting.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer says nothing")));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Line<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, closed)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_given_up_and_one_that_reads_slowly_is_not() {
        let (ours, mut theirs) = duplex(8);
        let mut line = Line::new(ours, PATIENCE, PATIENCE, Metrics::new());
        line.write_all(b"12345678").await.unwrap();
        let slow = async {
            tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
            theirs.read_exact(&mut [0; 4]).await.unwrap();
        };
        let (written, ()) = tokio::join!(line.write_all(b"abcd"), slow);
        written.unwrap();
        let since = Instant::now();
        assert_eq!(line.write_all(b"more").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(since.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_speaks_is_given_up_and_one_that_spoke_may_be_silent() {
        let (ours, mut theirs) = duplex(8);
        let mut silent = Line::new(ours, PATIENCE, PATIENCE, Metrics::new());
        assert_eq!(silent.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        theirs.write_all(b"x").await.unwrap();
        silent.read_u8().await.unwrap();
        let waited = tokio::time::timeout(PATIENCE * 10, silent.read_u8()).await;
        assert!(waited.is_err(), "still waiting");
    }
}
