//! Where the database is: the URL, with this store's own options taken out of it.
//!
//! What never belongs here: a connection. No message tells the URL, since it may hold a password.

use std::str::FromStr;
use std::time::Duration;

use kode_core::store::{StoreError, StoreResult};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// Options of the URL that are the driver's.
const DRIVERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];
/// Options of the URL that are ours.
const OURS: [&str; 5] = ["schema", "connections", "timeout_secs", "proxy", "durability"];
/// Longest name of a schema: the server cuts longer ones in silence.
const NAME_MAX: usize = 63;

/// A database, and how it is used.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) connect: PgConnectOptions,
    pub(crate) schema: Schema,
    /// Most connections at once.
    pub(crate) connections: usize,
    /// How long a statement may take, and how long a connection is waited for.
    pub(crate) patience: Duration,
    /// Whether a proxy may give each transaction another connection to the server.
    pub(crate) proxied: bool,
    /// Whether a server that promises nothing over a power loss will do.
    pub(crate) lossy: bool,
}

/// The schema that the tables are in. Every statement names it, so no session needs a search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

impl Schema {
    fn new(name: &str) -> StoreResult<Self> {
        let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let good = letters && (1..=NAME_MAX).contains(&name.len()) && !name.starts_with("pg_");
        let wrong = || unusable(&format!("schema={name}: it is 1 to {NAME_MAX} of a-z 0-9 _, and not pg_…"));
        if good { Ok(Self(name.to_owned())) } else { Err(wrong()) }
    }

    /// Its name: of such letters that it needs no escapes within quotes.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// A statement with this schema in the place of `{s}`.
    pub(crate) fn sql(&self, text: &str) -> String {
        text.replace("{s}", &format!("\"{}\"", self.0))
    }
}

impl Place {
    pub(crate) fn parse(text: &str) -> StoreResult<Self> {
        let mut url = Url::parse(text).map_err(|why| unusable(&why.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(unusable("it begins with postgres://"));
        }
        let options: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        if let Some((name, _)) = options.iter().find(|(name, _)| !is_known(name)) {
            return Err(unknown(name));
        }
        let own = |name: &str| options.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let word = |name: &str, word: &str| match own(name) {
            None => Ok(false),
            Some(said) if said == word => Ok(true),
            Some(_) => Err(unusable(&format!("{name} is {word}, or is not there"))),
        };
        let number = |name: &str, usual| match own(name).map(str::parse::<u16>) {
            None => Ok(usual),
            Some(Ok(number)) if number > 0 => Ok(number),
            Some(_) => Err(unusable(&format!("{name} is a whole number from 1 to {}", u16::MAX))),
        };
        let proxied = word("proxy", "transaction")?;
        Ok(Self {
            schema: Schema::new(own("schema").unwrap_or("kode"))?,
            connections: number("connections", 8)?.into(),
            patience: Duration::from_secs(number("timeout_secs", 10)?.into()),
            lossy: word("durability", "none")?,
            proxied,
            connect: connect(&mut url, &options, proxied)?,
        })
    }
}

/// The driver's part of the URL.
fn connect(url: &mut Url, options: &[(String, String)], proxied: bool) -> StoreResult<PgConnectOptions> {
    url.set_query(None);
    let theirs = options.iter().filter(|(name, _)| DRIVERS.contains(&name.as_str()));
    url.query_pairs_mut().extend_pairs(theirs);
    let parsed = PgConnectOptions::from_str(url.as_str()).map_err(|why| unusable(&why.to_string()))?;
    let named = match parsed.get_application_name() {
        Some(_) => parsed,
        None => parsed.application_name("kode"),
    };
    // No statement of ours has a float, and a proxy that pools transactions refuses what it cannot carry over.
    let bare = named.extra_float_digits(None).disable_statement_logging();
    // Behind such a proxy a statement that was prepared may be another session's.
    Ok(if proxied { bare.statement_cache_capacity(0) } else { bare })
}

fn is_known(name: &str) -> bool {
    DRIVERS.contains(&name) || OURS.contains(&name)
}

fn unknown(name: &str) -> StoreError {
    if name.starts_with("options") {
        return unusable("options is not used: say schema=NAME for the schema; every statement names it");
    }
    unusable(&format!("it has no option {name:?}; known are {} and {}", OURS.join(", "), DRIVERS.join(", ")))
}

fn unusable(why: &str) -> StoreError {
    StoreError::Incompatible(format!(
        "the URL of the store cannot be used: {why}; it looks like postgres://USER@HOST:5432/DATABASE?schema=kode"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Place::parse(url) {
            Err(StoreError::Incompatible(why)) => why,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{url} was taken"),
        }
    }

    #[test]
    fn a_bare_url_has_the_usual_options() {
        let place = Place::parse("postgres://anna@db.example.org/agents").unwrap();
        assert_eq!((place.schema.name(), place.connections, place.patience.as_secs()), ("kode", 8, 10));
        assert!(!place.proxied && !place.lossy);
        assert_eq!(place.connect.get_host(), "db.example.org");
        assert_eq!((place.connect.get_username(), place.connect.get_database()), ("anna", Some("agents")));
    }

    #[test]
    fn our_options_are_taken_and_the_drivers_are_passed_on() {
        let url = "postgresql://h/d?schema=of_2&connections=3&timeout_secs=4&proxy=transaction\
                   &durability=none&sslmode=require&application_name=me";
        let place = Place::parse(url).unwrap();
        assert_eq!(place.schema.sql("{s}.agents"), "\"of_2\".agents");
        assert_eq!((place.connections, place.patience.as_secs()), (3, 4));
        assert!(place.proxied && place.lossy);
        assert!(matches!(place.connect.get_ssl_mode(), sqlx::postgres::PgSslMode::Require));
        assert_eq!(place.connect.get_application_name(), Some("me"));
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (options, said) in [
            ("schema=a\"b", "schema="),
            ("schema=pg_catalog", "schema="),
            ("schema=", "schema="),
            ("connections=0", "connections"),
            ("timeout_secs=soon", "timeout_secs"),
            ("proxy=session", "proxy is transaction"),
            ("durability=some", "durability is none"),
            ("options=-csearch_path%3Dx", "schema=NAME"),
            ("shcema=x", "no option \"shcema\""),
        ] {
            let why = refused(&format!("postgres://anna:hunter2@h/d?{options}"));
            assert!(why.contains(said) && !why.contains("hunter2"), "{why}");
        }
        assert!(!refused("postgres://anna:hunter2@h:port/d").contains("hunter2"));
        assert!(refused("mysql://h/d").contains("postgres://"));
    }
}
