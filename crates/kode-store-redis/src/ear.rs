//! A connection that channels are heard on, of one server or a cluster. It says at once when it is broken, and is then
//! of no more use.

use std::sync::Arc;

use futures_util::future::try_join_all;
use kode_core::store::StoreResult;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, Value, cmd};
use tokio::sync::mpsc;

use crate::server::{CONNECT, tcp, within};
use crate::url::RedisUrl;

/// What comes by the connection without being asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something was published on a channel.
    Message(String),
    /// A channel is not heard any more: the caller's doing, or its slot went to another server.
    Left(String),
    /// The connection is gone, or one of those of a cluster.
    Broken,
}

pub(crate) struct Ear {
    line: Line,
    pushed: mpsc::UnboundedReceiver<PushInfo>,
    url: Arc<RedisUrl>,
}

enum Line {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Ear {
    pub(crate) async fn connect(url: Arc<RedisUrl>, is_cluster: bool) -> StoreResult<Self> {
        let (push, pushed) = mpsc::unbounded_channel();
        let server = spoken_anew(&url.server);
        let line = async {
            if is_cluster {
                let builder = ClusterClientBuilder::new([server])
                    .connection_timeout(CONNECT)
                    .response_timeout(url.timeout)
                    .tcp_settings(tcp())
                    .use_protocol(ProtocolVersion::RESP3)
                    .push_sender(push);
                builder.build()?.get_async_connection().await.map(Line::Cluster)
            } else {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(url.timeout))
                    .set_push_sender(push);
                let client = Client::open(server)?;
                client.get_multiplexed_async_connection_with_config(&config).await.map(Line::Single)
            }
        };
        let line = within(url.timeout, line).await?;
        Ok(Self { line, pushed, url })
    }

    /// Hears these channels from now on.
    pub(crate) async fn listen(&mut self, channels: &[String]) -> StoreResult<()> {
        let line = &mut self.line;
        let listen = async {
            match line {
                Line::Single(line) => line.subscribe(channels).await,
                // Each may be another server's.
                Line::Cluster(line) => {
                    let each = channels.iter().map(|channel| {
                        let mut line = line.clone();
                        async move { line.ssubscribe(channel).await }
                    });
                    try_join_all(each).await.map(drop)
                }
            }
        };
        within(self.url.timeout, listen).await
    }

    /// And no more.
    pub(crate) async fn leave(&mut self, channels: &[String]) -> StoreResult<()> {
        let line = &mut self.line;
        let leave = async {
            match line {
                Line::Single(line) => line.unsubscribe(channels).await,
                Line::Cluster(line) => {
                    let each = channels.iter().map(|channel| {
                        let mut line = line.clone();
                        async move { line.sunsubscribe(channel).await }
                    });
                    try_join_all(each).await.map(drop)
                }
            }
        };
        within(self.url.timeout, leave).await
    }

    /// Says something on a channel, to whoever hears it.
    pub(crate) async fn say(&mut self, command: &str, channel: &str) -> StoreResult<()> {
        let (line, publish) = (&mut self.line, cmd(command).arg(channel).arg("").take());
        let say = async {
            match line {
                Line::Single(line) => publish.query_async::<Value>(line).await,
                Line::Cluster(line) => publish.query_async::<Value>(line).await,
            }
        };
        within(self.url.timeout, say).await.map(drop)
    }

    /// What comes next. Cancel safe.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let Some(push) = self.pushed.recv().await else { return Heard::Broken };
            let channel = || match push.data.first() {
                Some(Value::BulkString(name)) => String::from_utf8_lossy(name).into_owned(),
                _ => String::new(),
            };
            match push.kind {
                PushKind::Message | PushKind::SMessage => return Heard::Message(channel()),
                PushKind::Unsubscribe | PushKind::SUnsubscribe => return Heard::Left(channel()),
                PushKind::Disconnection => return Heard::Broken,
                _ => {}
            }
        }
    }
}

/// Only in the newer protocol does a connection that hears channels also answer.
fn spoken_anew(server: &ConnectionInfo) -> ConnectionInfo {
    let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    server.clone().set_redis_settings(settings).set_tcp_settings(tcp())
}
