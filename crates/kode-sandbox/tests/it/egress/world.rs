//! A world for the proxy: names that answer what the test says, and one server that stands for every address.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kode_core::sandbox::Witness;
use kode_sandbox::egress::{Dial, Egress, Limits, Resolve, Rules};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// An address of the outside world.
pub(super) const PUBLIC: &str = "93.184.215.14";

/// Answers in their order, the last one again and again.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let script = answers.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let next = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        Ok(next.unwrap_or_default())
    }
}

/// Whatever is dialled, the test's server is reached, save at an address that is down.
struct StandIn {
    server: SocketAddr,
    dialled: Mutex<Vec<SocketAddr>>,
    down: Mutex<Vec<IpAddr>>,
}

#[async_trait]
impl Dial for StandIn {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().unwrap().push(to);
        if self.down.lock().unwrap().contains(&to.ip()) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        TcpStream::connect(self.server).await
    }
}

struct Log(mpsc::UnboundedSender<(String, Value)>);

#[async_trait]
impl Witness for Log {
    async fn notice(&self, event_type: &str, data: Value) {
        let _ = self.0.send((event_type.to_owned(), data));
    }
}

/// A proxy at work between a test's client and a test's server.
pub(super) struct World {
    names: Arc<Names>,
    stand_in: Arc<StandIn>,
    pub(super) server: TcpListener,
    proxy: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    notices: mpsc::UnboundedReceiver<(String, Value)>,
}

impl World {
    pub(super) async fn new(rules: &[&str]) -> Self {
        Self::with(rules, Limits::default()).await
    }

    pub(super) async fn with(rules: &[&str], limits: Limits) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let names = Arc::new(Names::default());
        let stand_in = Arc::new(StandIn {
            server: server.local_addr().unwrap(),
            dialled: Mutex::default(),
            down: Mutex::default(),
        });
        let rules = Rules::parse(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>()).unwrap();
        let egress = Egress::new(rules).with_limits(limits).with_net(names.clone(), stand_in.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let (told, notices) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(Arc::new(egress).serve_until(listener, Arc::new(Log(told)), async {
            let _ = stopped.await;
        }));
        Self { names, stand_in, server, proxy, stop: Some(stop), serving, notices }
            .with_name("example.com", &[&[PUBLIC]])
    }

    /// The same where the name has these answers, one after the other.
    pub(super) fn with_name(self, name: &str, answers: &[&[&str]]) -> Self {
        let parse = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let script = answers.iter().map(parse).collect();
        self.names.answers.lock().unwrap().insert(name.to_owned(), script);
        self
    }

    /// The same where nobody is at the address.
    pub(super) fn with_down(self, address: &str) -> Self {
        self.stand_in.down.lock().unwrap().push(address.parse().unwrap());
        self
    }

    /// Every name that was resolved.
    pub(super) fn asked(&self) -> Vec<String> {
        self.names.asked.lock().unwrap().clone()
    }

    /// Every address that was dialled.
    pub(super) fn dialled(&self) -> Vec<String> {
        self.stand_in.dialled.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    /// A client that has sent this.
    pub(super) async fn send(&self, text: impl AsRef<[u8]>) -> TcpStream {
        let mut client = TcpStream::connect(self.proxy).await.unwrap();
        client.write_all(text.as_ref()).await.unwrap();
        client
    }

    /// All that a client reads that sends this, without the server being reached.
    pub(super) async fn answer(&self, text: impl AsRef<[u8]>) -> String {
        let client = self.send(text).await;
        tokio::select! {
            answer = rest(client) => answer,
            _ = self.accept() => panic!("the server was reached"),
        }
    }

    /// The server's end of the next connection.
    pub(super) async fn accept(&self) -> TcpStream {
        self.server.accept().await.unwrap().0
    }

    /// Both ends of a tunnel to `example.com`.
    pub(super) async fn tunnel(&self) -> (TcpStream, TcpStream) {
        let mut client = self.send(connect("example.com:443")).await;
        assert_eq!(line(&mut client).await, "HTTP/1.1 200 Connection established");
        assert_eq!(line(&mut client).await, "");
        (client, self.accept().await)
    }

    /// The next notice, without how long it took, which must be there.
    pub(super) async fn notice(&mut self) -> (String, Value) {
        let (kind, mut data) = self.notices.recv().await.expect("one more notice");
        if kind == "egress" {
            let took = data.as_object_mut().unwrap().remove("durationMs");
            assert!(took.is_some_and(|millis| millis.is_u64()));
        }
        (kind, data)
    }

    /// Ends the command, and gives the notices that were not read.
    pub(super) async fn end(mut self) -> Vec<(String, Value)> {
        drop(self.stop.take());
        (&mut self.serving).await.unwrap();
        self.unread().await
    }

    /// Drops the proxy while it serves, and gives the notices that were not read.
    pub(super) async fn kill(mut self) -> Vec<(String, Value)> {
        self.serving.abort();
        assert!((&mut self.serving).await.unwrap_err().is_cancelled());
        self.unread().await
    }

    /// Ends when nobody is left who could notice anything.
    async fn unread(&mut self) -> Vec<(String, Value)> {
        let mut left = Vec::new();
        while let Some(notice) = self.notices.recv().await {
            left.push(notice);
        }
        left
    }
}

pub(super) fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

/// What comes until the end.
pub(super) async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What comes until the next line feed, without it.
pub(super) async fn line(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        match stream.read_u8().await.unwrap() {
            b'\n' => return String::from_utf8(bytes).unwrap().trim_end().to_owned(),
            byte => bytes.push(byte),
        }
    }
}

/// Whether the other end is gone, by an end or by a reset.
pub(super) async fn is_gone(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}
