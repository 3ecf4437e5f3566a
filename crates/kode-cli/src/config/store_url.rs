//! Which store is meant, by its URL. What is shown of one never tells a password.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::compose::RedisUrl;
use crate::failure::Failure;

/// A store by its URL.
#[derive(Clone)]
pub(crate) enum StoreUrl {
    /// `fs:DIR`.
    Fs(PathBuf),
    /// `redis://HOST:PORT`, or `rediss://` for TLS.
    Redis(Box<RedisUrl>),
    /// `postgres://…`, whole, as it may hold a password.
    Postgres(String),
}

impl StoreUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        match url.split_once(':') {
            Some(("fs", dir)) if !dir.is_empty() => Ok(Self::Fs(dir.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(url.to_owned()))
            }
            Some(("redis" | "rediss", _)) => {
                url.parse().map(|url| Self::Redis(Box::new(url))).map_err(Failure::usage)
            }
            _ => Err(Failure::usage(
                "the store is not known; it looks like fs:DIR, such as fs:./.kode, redis://HOST:PORT, or \
                 postgres://USER@HOST/DATABASE",
            )),
        }
    }
}

/// For people: without user, password and options.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fs(dir) => write!(f, "fs:{}", dir.display()),
            Self::Redis(url) => url.fmt(f),
            Self::Postgres(url) => match Url::parse(url) {
                Ok(url) => {
                    let host = url.host_str().unwrap_or_default();
                    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                    write!(f, "postgres://{host}{port}{}", url.path())
                }
                Err(_) => f.write_str("postgres://…"),
            },
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_store_is_refused_with_what_would_do() {
        for url in ["mysql://x", "postgres:x", "fs:", ""] {
            assert!(matches!(StoreUrl::parse(url), Err(Failure::Usage(why)) if why.contains("fs:DIR")));
        }
        for url in ["redis://", "redis://x?durable=yes", "redis://x?durability=perhaps"] {
            assert!(
                matches!(StoreUrl::parse(url), Err(Failure::Usage(why)) if why.contains("redis://127.0.0.1"))
            );
        }
    }

    #[test]
    fn what_is_shown_tells_no_password() {
        for (url, shown) in [
            (
                "postgres://anna:hunter2@db:5432/agents?schema=kode&password=hunter2",
                "postgres://db:5432/agents",
            ),
            ("postgresql://anna:hunt@er2@db/agents#hunter2", "postgres://db/agents"),
            ("postgres://anna:hunt?er2@db/agents", "postgres://…"),
        ] {
            let store = StoreUrl::parse(url).unwrap();
            assert_eq!((store.to_string().as_str(), format!("{store:?}").as_str()), (shown, shown));
        }
        let redis = StoreUrl::parse("rediss://user:secret@redis.example:6380?prefix=team").unwrap();
        assert_eq!(redis.to_string(), "rediss://redis.example:6380?prefix=team");
        assert!(!format!("{redis:?}").contains("secret"));
        assert_eq!(StoreUrl::parse("fs:./.kode").unwrap().to_string(), "fs:./.kode");
    }
}
