//! The way to the server: a few connections that carry many requests at once, each with an end to its waiting.
//!
//! Nothing is sent twice from here, so a request whose answer did not come is `Unavailable`: nobody knows. (A
//! cluster's client follows moved slots by itself; appends and deletes carry a name of the request for that.)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use kode_core::store::{StoreError, StoreResult};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value, cmd};

use crate::durability::Settings;
use crate::error::{failed, strange};
use crate::script::{Answer, Args, Script};
use crate::url::RedisUrl;

/// By how much the library waits longer than we do, so that one of us ends each wait.
const SLACK: Duration = Duration::from_secs(1);
/// The longest wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
/// Between two attempts to connect again; doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// Attempts to connect that one request waits for. The next request begins anew.
const ATTEMPTS: usize = 4;
/// How often a cluster's client follows a slot that moves, within the time of a request.
const REDIRECTS: u32 = 8;
/// Requests under way at once where many are asked together.
const AT_ONCE: usize = 128;

/// A server, or a cluster of them.
pub(crate) struct Server {
    lanes: Lanes,
    timeout: Duration,
}

enum Lanes {
    Single { managers: Vec<ConnectionManager>, next: AtomicUsize },
    Cluster(ClusterConnection),
}

impl Server {
    /// Connects.
    pub(crate) async fn connect(url: &RedisUrl) -> StoreResult<Self> {
        let single = Self::one(url).await?;
        if !single.about().await?.iter().any(Settings::is_cluster) {
            return Ok(single);
        }
        let builder = ClusterClientBuilder::new([url.server.clone()])
            .connection_timeout(CONNECT)
            .response_timeout(url.timeout + SLACK)
            .tcp_settings(tcp())
            .retries(REDIRECTS)
            .min_retry_wait(20)
            .max_retry_wait(500);
        let client = builder.build().map_err(|e| failed(&e))?;
        let connection = client.get_async_connection().await.map_err(|e| failed(&e))?;
        Ok(Self { lanes: Lanes::Cluster(connection), timeout: url.timeout })
    }

    async fn one(url: &RedisUrl) -> StoreResult<Self> {
        let server = url.server.clone().set_tcp_settings(tcp());
        let client = Client::open(server).map_err(|e| failed(&e))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(url.timeout + SLACK))
            .set_number_of_retries(ATTEMPTS)
            .set_min_delay(FIRST_WAIT)
            .set_max_delay(LONGEST_WAIT);
        let connect =
            (0..url.connections).map(|_| ConnectionManager::new_with_config(client.clone(), config.clone()));
        let managers = within(url.timeout, try_join_all(connect)).await?;
        Ok(Self { lanes: Lanes::Single { managers, next: AtomicUsize::new(0) }, timeout: url.timeout })
    }

    async fn send<T: FromRedisValue>(&self, cmd: &Cmd) -> RedisResult<T> {
        match &self.lanes {
            Lanes::Single { managers, next } => {
                let lane = next.fetch_add(1, Ordering::Relaxed) % managers.len();
                cmd.query_async(&mut managers[lane].clone()).await
            }
            Lanes::Cluster(connection) => cmd.query_async(&mut connection.clone()).await,
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.lanes, Lanes::Cluster(_))
    }

    /// Why the server will never do this command for us, if it says so: it does not know it, or it is not for this user.
    pub(crate) async fn refuses(&self, cmd: &Cmd) -> Option<String> {
        let sent = tokio::time::timeout(self.timeout, self.send::<Value>(cmd)).await;
        let error = sent.ok()?.err()?;
        let never = matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError)
        );
        never.then(|| error.to_string())
    }

    /// One command and its answer.
    pub(crate) async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> StoreResult<T> {
        within(self.timeout, self.send(cmd)).await
    }

    /// Many commands, which may be answered at different moments.
    pub(crate) async fn ask_each<T: FromRedisValue>(&self, cmds: &[Cmd]) -> StoreResult<Vec<T>> {
        let mut answers = Vec::with_capacity(cmds.len());
        for some in cmds.chunks(AT_ONCE) {
            for answer in join_all(some.iter().map(|cmd| self.ask(cmd))).await {
                answers.push(answer?);
            }
        }
        Ok(answers)
    }

    /// Runs a function; keys and what else it is given are its own order.
    pub(crate) async fn call(&self, script: &Script, keys: &[String], args: Args) -> StoreResult<Answer> {
        Answer::new(script.name, self.value(script, keys, &args).await?)
    }

    /// The same for one whose answer is no word.
    pub(crate) async fn value(&self, script: &Script, keys: &[String], args: &Args) -> StoreResult<Value> {
        let call = async {
            match self.send(&script.by_hash(keys, args)).await {
                // A new server, or one that was restarted. Nothing was done.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.send(&script.in_full(keys, args)).await
                }
                done => done,
            }
        };
        within(self.timeout, call).await
    }

    /// The same command to every master; their answers by their addresses.
    async fn every(&self, cmd: &Cmd) -> StoreResult<BTreeMap<String, Value>> {
        let Lanes::Cluster(connection) = &self.lanes else {
            return Ok(BTreeMap::from([(String::new(), self.ask(cmd).await?)]));
        };
        let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let mut connection = connection.clone();
        match within(self.timeout, connection.route_command(cmd.clone(), everywhere)).await? {
            Value::Map(answers) => answers.into_iter().map(|(from, said)| Ok((read(from)?, said))).collect(),
            other => Err(strange("of every master", &other)),
        }
    }

    /// What every master says of itself.
    pub(crate) async fn about(&self) -> StoreResult<Vec<Settings>> {
        let mut about = BTreeMap::new();
        for (master, info) in self.every(&cmd("INFO")).await? {
            about.insert(master, Settings { info: pairs(&read::<String>(info)?), ..Settings::default() });
        }
        for name in ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"] {
            // Many services refuse it; the judgement knows.
            let Ok(answers) = self.every(cmd("CONFIG").arg("GET").arg(name)).await else { continue };
            for (master, answer) in answers {
                about.entry(master).or_default().config.extend(read::<BTreeMap<_, _>>(answer)?);
            }
        }
        Ok(about.into_values().collect())
    }

    /// All keys that match a pattern, found step by step: for maintenance, never for a request.
    pub(crate) async fn scan(&self, pattern: &str) -> StoreResult<Vec<String>> {
        let mut keys = Vec::new();
        for master in self.every(&cmd("PING")).await?.into_keys() {
            let mut cursor = 0_u64;
            loop {
                let scan = cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1_000).take();
                let (next, page): (u64, Vec<String>) = read(self.at(&master, scan).await?)?;
                keys.extend(page);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// A command to one master, by the address that [`Server::every`] tells.
    async fn at(&self, master: &str, cmd: Cmd) -> StoreResult<Value> {
        let Lanes::Cluster(connection) = &self.lanes else { return self.ask(&cmd).await };
        let (host, port) = master.rsplit_once(':').unwrap_or((master, ""));
        let port = port.parse().map_err(|_| strange("of a master's address", &master))?;
        let there = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
        let mut connection = connection.clone();
        within(self.timeout, connection.route_command(cmd, RoutingInfo::SingleNode(there))).await
    }
}

fn read<T: FromRedisValue>(value: Value) -> StoreResult<T> {
    T::from_redis_value(value).map_err(|e| failed(&e.into()))
}

pub(crate) fn tcp() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    // A host that is gone says nothing: what goes unheard that long ends the connection, and a new one is made.
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(10));
    settings
}

/// The lines of `INFO`.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}

pub(crate) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> StoreResult<T> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done.map_err(|e| failed(&e)),
        Err(_) => Err(StoreError::Unavailable(format!("the redis server gave no answer within {timeout:?}"))),
    }
}
