//! A line between one client and the server that breaks off in the middle of streams, at any byte, and lets all else
//! through. What never belongs here: knowledge of what is in a stream.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::PATIENCE;

/// In the head of a stream, and of no other answer.
const STREAM: &[u8] = b"text/event-stream";

/// A line to one server, for as many connections as a client makes.
pub(super) struct Line {
    pub(super) base: String,
    cuts: usize,
    broken: watch::Receiver<usize>,
    accepting: tokio::task::JoinHandle<()>,
}

/// Where the next streams are cut, counted in bytes from their heads on, and how many were.
struct Scissors {
    after: Mutex<VecDeque<usize>>,
    broken: watch::Sender<usize>,
}

impl Line {
    pub(super) async fn to(server: &str, cuts: &[usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (server, (tell, broken)) = (server.to_owned(), watch::channel(0));
        let scissors = Arc::new(Scissors { after: Mutex::new(cuts.iter().copied().collect()), broken: tell });
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server.clone(), scissors.clone()));
            }
        });
        Self { base, cuts: cuts.len(), broken, accepting }
    }

    /// Waits until it has broken off as often as it is to.
    pub(super) async fn until_broken(&self, client: &str) {
        let mut broken = self.broken.clone();
        let all = tokio::time::timeout(PATIENCE, broken.wait_for(|broken| *broken == self.cuts)).await;
        let all = all.is_ok_and(|waited| waited.is_ok());
        assert!(all, "{client} came back {} times of {}", *self.broken.borrow(), self.cuts);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(client: TcpStream, server: String, scissors: Arc<Scissors>) {
    // Where the server is down, the client's connection ends at once.
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, mut to_server)) = (client.into_split(), server.into_split());
    let asking = async {
        let mut from_client = from_client;
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    tokio::select! {
        () = asking => {}
        () = scissors.answer(from_server, to_client) => {}
    }
}

impl Scissors {
    /// Passes on what the server says, up to a cut.
    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut piece, mut left) = (vec![0; 4096], None);
        loop {
            let Ok(read @ 1..) = from.read(&mut piece).await else { return };
            let said = &piece[..read];
            if said.windows(STREAM.len()).any(|window| window == STREAM) {
                left = self.after.lock().unwrap().pop_front();
            }
            let passed = left.map_or(read, |left| read.min(left));
            if to.write_all(&said[..passed]).await.is_err() {
                return;
            }
            left = left.map(|left| left - passed);
            if left == Some(0) {
                self.broken.send_modify(|broken| *broken += 1);
                // Every other line breaks off without a word of farewell.
                let _ = if *self.broken.borrow() % 2 == 1 { to.as_ref().set_zero_linger() } else { Ok(()) };
                return;
            }
        }
    }
}
