//! The url of a store: a server, and in its query what is the store's own. Nothing here connects.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

use crate::durability::Profile;

/// What keys begin with unless the url says otherwise.
const PREFIX: &str = "kode";
/// Connections unless the url says otherwise: each carries many requests at once.
const CONNECTIONS: usize = 4;
/// The longest wait for an answer unless the url says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a store is, and how it is used: `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, and in the
/// query
///
/// - `prefix`: what its keys begin with, `kode` by default. Stores of different prefixes share a server.
/// - `durability`: the weakest durability that is accepted of the server: `always` (default), `everysec` or `none`.
/// - `connections`: how many are kept, 4 by default (one server; a cluster has one for each of its nodes).
/// - `timeout_ms`: the longest wait for an answer, 5000 by default. Keep it below the lease time.
#[derive(Clone)]
pub struct RedisUrl {
    pub(crate) server: ConnectionInfo,
    pub(crate) prefix: String,
    pub(crate) durability: Option<Profile>,
    pub(crate) connections: usize,
    pub(crate) timeout: Duration,
}

/// Why a url names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a redis store looks like redis://127.0.0.1:6379?prefix=kode")]
pub struct InvalidUrl(String);

/// Where it is: neither the password nor the user is shown.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme =
            if matches!(self.server.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}?prefix={}", self.server.addr(), self.prefix)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let (server, query) = url.split_once('?').unwrap_or((url, ""));
        let scheme = server.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("redis" | "rediss")) {
            return Err(InvalidUrl("the url begins with neither redis:// nor rediss://".into()));
        }
        // The library's own error may show the url, and with it the password.
        let unread = |_| {
            InvalidUrl("the url's server cannot be read: is a sign of the password to be escaped?".into())
        };
        let mut parsed = Self {
            server: server.into_connection_info().map_err(unread)?,
            prefix: PREFIX.to_owned(),
            durability: None,
            connections: CONNECTIONS,
            timeout: TIMEOUT,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parsed.take(name, value)?;
        }
        Ok(parsed)
    }
}

impl RedisUrl {
    fn take(&mut self, name: &str, value: &str) -> Result<(), InvalidUrl> {
        let one_of = |what: &str| InvalidUrl(format!("{name}={value} is not {what}"));
        match name {
            "prefix" => {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
                let good = (1..=100).contains(&value.len()) && value.bytes().all(allowed);
                value.clone_into(&mut self.prefix);
                if good { Ok(()) } else { Err(one_of("1 to 100 of a-z A-Z 0-9 . _ - :")) }
            }
            "durability" => {
                let profile = Profile::named(value).ok_or_else(|| one_of("always, everysec or none"))?;
                self.durability = Some(profile);
                Ok(())
            }
            "connections" => {
                let number = value.parse().ok().filter(|number| (1..=64).contains(number));
                self.connections = number.ok_or_else(|| one_of("a number from 1 to 64"))?;
                Ok(())
            }
            "timeout_ms" => {
                let millis = value.parse().ok().filter(|millis| (100..=60_000).contains(millis));
                self.timeout =
                    Duration::from_millis(millis.ok_or_else(|| one_of("a number from 100 to 60000"))?);
                Ok(())
            }
            _ => Err(InvalidUrl(format!(
                "{name} is no setting of a redis store; there are prefix, durability, connections and timeout_ms"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        url.parse::<RedisUrl>().unwrap_err().to_string()
    }

    #[test]
    fn a_plain_url_has_safe_defaults() {
        let url: RedisUrl = "redis://127.0.0.1:6390/2".parse().unwrap();
        let taken = (url.prefix.as_str(), url.durability, url.connections, url.timeout);
        assert_eq!(taken, ("kode", None, 4, Duration::from_secs(5)));
        assert_eq!(url.server.addr().to_string(), "127.0.0.1:6390");
    }

    #[test]
    fn the_query_is_the_stores_own() {
        let url =
            "rediss://u:p@redis.example:6380?prefix=a:b&durability=everysec&connections=2&timeout_ms=900";
        let url: RedisUrl = url.parse().unwrap();
        let taken = (url.prefix.as_str(), url.durability, url.connections, url.timeout);
        assert_eq!(taken, ("a:b", Some(Profile::EverySecond), 2, Duration::from_millis(900)));
        assert_eq!(url.to_string(), "rediss://redis.example:6380?prefix=a:b");
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_do() {
        assert!(refused("http://127.0.0.1").contains("redis://"));
        assert!(refused("redis://h?prefix=").contains("1 to 100"));
        assert!(refused("redis://h?prefix={a}").contains("1 to 100"));
        assert!(refused("redis://h?durability=maybe").contains("always, everysec or none"));
        assert!(refused("redis://h?connections=0").contains("1 to 64"));
        assert!(refused("redis://h?timeout_ms=1").contains("100 to 60000"));
        assert!(refused("redis://h?pool=3").contains("there are prefix"));
        assert!(!refused("redis://user:secret@:port").contains("secret"));
    }
}
