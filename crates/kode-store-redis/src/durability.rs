//! What the server's settings mean for what it acknowledges. Pure: settings in, a judgement out.
//!
//! A server that would forget is refused unless its operator said that this is meant; one that would throw data away
//! to make room is refused always, since nothing of an agent may go but by delete.

use std::collections::BTreeMap;
use std::fmt;

use kode_core::store::{StoreError, StoreResult};

/// What survives the death of the server, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// What the last snapshot has, or what the operating system happened to write.
    None,
    /// All but about the last second; up to two where the disk is busy.
    EverySecond,
    /// Everything that was acknowledged.
    Always,
}

impl Profile {
    /// The profile of a word in a url.
    pub(crate) fn named(word: &str) -> Option<Self> {
        [Self::None, Self::EverySecond, Self::Always].into_iter().find(|profile| profile.to_string() == word)
    }

    /// What it means, to be read by a person.
    fn meaning(self) -> &'static str {
        match self {
            Self::Always => "what is acknowledged is on the server's disk: synced means synced",
            Self::EverySecond => {
                "when the server's machine dies, about the last second of what was acknowledged is lost"
            }
            Self::None => "when the server dies, all that was acknowledged since its last snapshot is lost",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::None => "none",
        })
    }
}

/// What one server says of itself.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// `CONFIG GET`; empty where it is refused, as many services do.
    pub config: BTreeMap<String, String>,
    /// `INFO`, a name and a value a line.
    pub info: BTreeMap<String, String>,
}

impl Settings {
    fn info(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }

    fn config(&self, name: &str) -> Option<&str> {
        self.config.get(name).map(String::as_str)
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.info("cluster_enabled") == "1"
    }

    /// What its acknowledgements mean; `None` where it does not tell.
    fn profile(&self) -> Option<Profile> {
        let off =
            self.config("appendonly").map_or_else(|| self.info("aof_enabled") == "0", |set| set == "no");
        match self.config("appendfsync") {
            _ if off => Some(Profile::None),
            Some("always") => Some(Profile::Always),
            Some("everysec") => Some(Profile::EverySecond),
            Some(_) => Some(Profile::None),
            None => None,
        }
    }

    /// Which policy throws keys away, if one does.
    fn evicts(&self) -> Option<&str> {
        let told = self.config("maxmemory-policy").unwrap_or_else(|| self.info("maxmemory_policy"));
        let bound = self.config("maxmemory").unwrap_or_else(|| self.info("maxmemory"));
        Some(told).filter(|policy| !matches!(*policy, "" | "noeviction") && bound != "0")
    }

    /// Whether this server can be a store's, and how durable it is then.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(crate) fn judge(&self, accepted: Option<Profile>) -> StoreResult<Profile> {
        self.fit()?;
        match (self.profile(), accepted) {
            (Some(found), accepted) if found >= accepted.unwrap_or(Profile::Always) => Ok(found),
            (Some(found), _) => Err(StoreError::Unavailable(format!(
                "the redis server's persistence is {found:?}: {}. Set `appendonly yes` and `appendfsync always` in its \
                 configuration, or accept this with ?durability={found} in the store's url",
                found.meaning(),
                found = found.to_string()
            ))),
            (None, Some(word)) => Ok(word),
            (None, None) => Err(StoreError::Unavailable(
                "the redis server does not tell how it persists (CONFIG is refused). Allow `CONFIG GET`, or say what \
                 its operator promises with ?durability=always, everysec or none in the store's url"
                    .into(),
            )),
        }
    }

    /// What no durability makes good.
    fn fit(&self) -> StoreResult<()> {
        let refuse = |why: String| Err(StoreError::Unavailable(why));
        let version = self.info("redis_version");
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (6, 2) {
            return refuse(format!(
                "the redis server is of version {version:?}; the store needs 6.2 or later"
            ));
        }
        if self.info("role") == "slave" {
            return refuse("the redis server is a replica; name the master in the store's url".into());
        }
        if let Some(policy) = self.evicts() {
            return refuse(format!(
                "the redis server's maxmemory-policy is {policy}: it throws away what it was given when it is full. Set \
                 `maxmemory-policy noeviction` in its configuration; a full store refuses messages and loses nothing"
            ));
        }
        Ok(())
    }

    /// What is to be said of it at the start.
    pub(crate) fn words(&self, profile: Profile) -> String {
        let seen = if self.profile().is_some() { "" } else { " (as the url says; the server does not tell)" };
        let replicas = match self.info("connected_slaves") {
            "" | "0" => "",
            _ => "; it has replicas, and a failover loses what had not reached the one that takes over",
        };
        format!("durability {profile}{seen}: {}{replicas}", profile.meaning())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &[(&str, &str)], info: &[(&str, &str)]) -> Settings {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let mut settings = Settings { config: map(config), info: map(info) };
        settings.info.entry("redis_version".into()).or_insert("7.0.15".into());
        settings
    }

    fn aof(fsync: &str) -> Settings {
        settings(&[("appendonly", "yes"), ("appendfsync", fsync)], &[])
    }

    fn refused(settings: &Settings, accepted: Option<Profile>) -> String {
        settings.judge(accepted).unwrap_err().to_string()
    }

    #[test]
    fn g1_a_weaker_server_is_refused_unless_its_weakness_is_accepted() {
        use Profile::{Always, EverySecond, None as Nothing};
        let snapshots = settings(&[("appendonly", "no"), ("appendfsync", "always")], &[]);
        let servers = [
            (aof("always"), Always),
            (aof("everysec"), EverySecond),
            (aof("no"), Nothing),
            (snapshots, Nothing),
        ];
        for (server, found) in servers {
            for accepted in [Nothing, EverySecond, Always] {
                let judged = server.judge(Some(accepted));
                assert_eq!(
                    judged.is_ok(),
                    found >= accepted,
                    "{found} where {accepted} is accepted: {judged:?}"
                );
                assert!(judged.is_err() || judged == Ok(found));
            }
            assert_eq!(server.judge(None).is_ok(), found == Always);
        }
        assert!(refused(&aof("everysec"), None).contains("?durability=everysec"));
    }

    #[test]
    fn a_server_that_does_not_tell_is_taken_at_its_operators_word() {
        let silent = settings(&[], &[("aof_enabled", "1")]);
        assert!(refused(&silent, None).contains("CONFIG is refused"));
        assert_eq!(silent.judge(Some(Profile::EverySecond)), Ok(Profile::EverySecond));
        assert!(silent.words(Profile::EverySecond).contains("as the url says"));
        let off = settings(&[], &[("aof_enabled", "0")]);
        assert!(off.judge(Some(Profile::Always)).is_err());
    }

    #[test]
    fn g7_a_server_that_throws_agents_away_is_refused_whatever_is_accepted() {
        let policy = |policy, bound| {
            settings(
                &[
                    ("appendonly", "yes"),
                    ("appendfsync", "always"),
                    ("maxmemory-policy", policy),
                    ("maxmemory", bound),
                ],
                &[],
            )
        };
        for evicts in ["allkeys-lru", "volatile-ttl"] {
            assert!(refused(&policy(evicts, "100"), Some(Profile::None)).contains("noeviction"));
        }
        for (kept, bound) in [("noeviction", "100"), ("allkeys-lru", "0")] {
            assert_eq!(policy(kept, bound).judge(None), Ok(Profile::Always), "{kept} {bound}");
        }
    }

    #[test]
    fn old_servers_and_replicas_are_refused() {
        let of = |info: &[(&str, &str)]| Settings { info: settings(&[], info).info, ..aof("always") };
        assert!(refused(&of(&[("redis_version", "5.0.14")]), None).contains("6.2"));
        assert!(refused(&of(&[("role", "slave")]), None).contains("replica"));
        let replicated = of(&[("role", "master"), ("connected_slaves", "2")]);
        assert_eq!(replicated.judge(None), Ok(Profile::Always));
        assert!(replicated.words(Profile::Always).contains("failover"));
    }
}
