//! Carrying bytes between a process and a server: both ways, counted, and bounded in time and in number.
//!
//! What never belongs here: looking at the bytes.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::head::Kind;

/// Bytes that one direction of one connection holds at most.
const BUFFER: usize = 16 * 1_024;

/// What may still be moved, by all connections of a command together.
pub(super) struct Budget {
    pub(super) limit: u64,
    left: AtomicU64,
}

impl Budget {
    pub(super) const fn of(limit: u64) -> Self {
        Self { limit, left: AtomicU64::new(limit) }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Takes as much; where there is less, takes the rest, so that every other connection stops too.
    fn spend(&self, bytes: usize) -> Result<(), Cut> {
        let bytes = bytes as u64;
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(bytes)))
            .unwrap_or_default();
        if before < bytes { Err(Cut::ByteLimit) } else { Ok(()) }
    }
}

/// Why a connection did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// One end broke it off.
    Broken,
    /// Nothing moved for too long.
    Idle,
    /// The command may move no more.
    ByteLimit,
    /// The process sent more than its one request.
    SecondRequest,
    /// The command ended.
    CommandEnded,
}

impl Cut {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::ByteLimit => "byte_limit",
            Self::SecondRequest => "second_request",
            Self::CommandEnded => "command_ended",
        }
    }
}

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Carried {
    /// Bytes to the server.
    pub(super) up: u64,
    /// Bytes from it.
    pub(super) down: u64,
    pub(super) took: Duration,
    /// `None` if it ended by itself.
    pub(super) cut: Option<Cut>,
}

/// One connection's counters.
struct Meter<'a> {
    budget: &'a Budget,
    began: Instant,
    up: AtomicU64,
    down: AtomicU64,
    /// Milliseconds after `began` when something last moved.
    moved: AtomicU64,
}

impl Meter<'_> {
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends when nothing moved for `limit`.
    async fn idle(&self, limit: Duration) -> Cut {
        loop {
            let quiet =
                Duration::from_millis(self.millis().saturating_sub(self.moved.load(Ordering::Relaxed)));
            match limit.checked_sub(quiet) {
                None | Some(Duration::ZERO) => return Cut::Idle,
                Some(rest) => sleep(rest).await,
            }
        }
    }

    /// Copies until the end of `from`.
    async fn pump(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
    ) -> Result<(), Cut> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = from.read(&mut buffer).await.map_err(|_| Cut::Broken)?;
            if read == 0 {
                return Ok(());
            }
            self.budget.spend(read)?;
            to.write_all(&buffer[..read]).await.map_err(|_| Cut::Broken)?;
            count.fetch_add(read as u64, Ordering::Relaxed);
            self.moved.store(self.millis(), Ordering::Relaxed);
        }
    }
}

/// Carries one connection to its end, or until `stop` resolves.
pub(super) async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    kind: Kind,
    early: Vec<u8>,
    budget: &Budget,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> Carried {
    let zero = || AtomicU64::new(0);
    let meter = Meter { budget, began: Instant::now(), up: zero(), down: zero(), moved: zero() };
    let work = async {
        match kind {
            Kind::Tunnel => tunnel(&meter, &mut client, &mut server, &early).await,
            Kind::Exchange { head, body } => {
                let rest = body.saturating_sub(early.len() as u64);
                let request = [head, early].concat();
                exchange(&meter, &mut client, &mut server, &request, rest).await
            }
        }
    };
    let end = tokio::select! {
        biased;
        end = work => end,
        cut = meter.idle(idle) => Err(cut),
        () = stop => Err(Cut::CommandEnded),
    };
    Carried {
        up: meter.up.load(Ordering::Relaxed),
        down: meter.down.load(Ordering::Relaxed),
        took: meter.began.elapsed(),
        cut: end.err(),
    }
}

/// Both ways until both have ended; the end of one is passed on while the other goes on.
async fn tunnel(
    meter: &Meter<'_>,
    client: &mut TcpStream,
    server: &mut TcpStream,
    early: &[u8],
) -> Result<(), Cut> {
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.map_err(|_| Cut::Broken)?;
    let (from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut from_client = early.chain(from_client);
    let up = async {
        meter.pump(&mut from_client, &mut to_server, &meter.up).await?;
        to_server.shutdown().await.map_err(|_| Cut::Broken)
    };
    let down = async {
        meter.pump(&mut from_server, &mut to_client, &meter.down).await?;
        to_client.shutdown().await.map_err(|_| Cut::Broken)
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// One request, and what the server answers until it closes. It may answer before it has read the whole request.
async fn exchange(
    meter: &Meter<'_>,
    client: &mut TcpStream,
    server: &mut TcpStream,
    request: &[u8],
    body_rest: u64,
) -> Result<(), Cut> {
    let (from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let down = async {
        meter.pump(&mut from_server, &mut to_client, &meter.down).await?;
        to_client.shutdown().await.map_err(|_| Cut::Broken)
    };
    tokio::select! {
        biased;
        end = down => end,
        cut = ask(meter, from_client, &mut to_server, request, body_rest) => Err(cut),
    }
}

/// Sends the request, and comes back only where that is a reason to cut the answer off.
async fn ask(
    meter: &Meter<'_>,
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    request: &[u8],
    body_rest: u64,
) -> Cut {
    let mut whole = request.chain((&mut from).take(body_rest));
    match meter.pump(&mut whole, to, &meter.up).await {
        Ok(()) if whole.get_ref().1.limit() == 0 => {}
        // The server is told that no more will come, so it does not wait for the rest.
        Ok(()) => {
            let _ = to.shutdown().await;
            return pending().await;
        }
        // Whoever broke it off, an answer may be under way.
        Err(Cut::Broken) => return pending().await,
        Err(cut) => return cut,
    }
    // The direction to the server stays open, as some take its end for the client's going away.
    match from.read(&mut [0]).await {
        Ok(0) | Err(_) => pending().await,
        Ok(_) => Cut::SecondRequest,
    }
}
