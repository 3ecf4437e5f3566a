//! What the server's settings promise: whether *synced* is true there, in plain words.
//!
//! The judgement is pure; [`read`] asks the server.

use kode_core::store::{StoreError, StoreResult};
use sqlx::Row as _;

use crate::error::failed;
use crate::pool::{Pool, statement};

/// The oldest server that has all that is used.
const OLDEST: i32 = 130_000;

/// The settings that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    version: i32,
    fsync: bool,
    full_page_writes: bool,
    synchronous_commit: String,
    standby: bool,
    isolation: String,
}

/// Asks the server.
pub(crate) async fn read(pool: &Pool) -> StoreResult<Settings> {
    let asked = "SELECT current_setting('server_version_num')::int, current_setting('fsync') = 'on', \
                 current_setting('full_page_writes') = 'on', current_setting('synchronous_commit'), \
                 pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', \
                 current_setting('default_transaction_isolation')";
    let row = pool.row(statement(asked.to_owned())).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("the server told no settings".into()))?;
    let settings = || {
        Ok(Settings {
            version: row.try_get(0)?,
            fsync: row.try_get(1)?,
            full_page_writes: row.try_get(2)?,
            synchronous_commit: row.try_get(3)?,
            standby: row.try_get(4)?,
            isolation: row.try_get(5)?,
        })
    };
    settings().map_err(|error| failed(&error))
}

/// What *synced* means there, and what a person should know; an error where it would be a lie. `lossy`: whether a
/// server that loses with the power will do.
pub(crate) fn judge(settings: &Settings, lossy: bool) -> StoreResult<Vec<String>> {
    let Settings { version, fsync, full_page_writes, synchronous_commit, standby, isolation } = settings;
    let refuse = |why: String| Err(StoreError::Incompatible(why));
    if *version < OLDEST {
        return refuse(format!(
            "this is PostgreSQL {}; the store needs {} or later",
            version / 10_000,
            OLDEST / 10_000
        ));
    }
    if *standby {
        return Err(StoreError::Unavailable(
            "this server only reads (a standby, or default_transaction_read_only); connect to the primary"
                .into(),
        ));
    }
    if isolation != "read committed" {
        return refuse(format!(
            "default_transaction_isolation is {isolation}, and the store's statements are made for read committed; \
             run ALTER ROLE … SET default_transaction_isolation = 'read committed'"
        ));
    }
    if !fsync && !lossy {
        return refuse(
            "this server runs with fsync=off: after a power loss or a crash of its machine, messages that were \
             answered as accepted may be gone and the whole database may be unreadable; set fsync=on and start it \
             again, or say durability=none in the store's URL to accept that"
                .into(),
        );
    }
    let mut words = vec![promise(*fsync, synchronous_commit)];
    if !full_page_writes && *fsync {
        words.push(
            "full_page_writes=off: a power loss in the middle of a page's write damages the database, unless its file \
             system writes pages whole"
                .into(),
        );
    }
    Ok(words)
}

fn promise(fsync: bool, synchronous_commit: &str) -> String {
    if !fsync {
        return "fsync=off and durability=none: what is called synced survives the death of kode and of PostgreSQL, \
                not that of the machine"
            .into();
    }
    let means = match synchronous_commit {
        "off" => {
            "the server's default synchronous_commit=off holds for buffered chunks only: each other append waits \
                  for the server's disk"
        }
        "local" => {
            "synced means on the disk of this server, also where it has standbys (synchronous_commit=local)"
        }
        "remote_write" => {
            "synced means on the disk of this server, and handed to its synchronous standbys if it has any"
        }
        "remote_apply" => {
            "synced means on the disk of this server and its synchronous standbys, and visible there"
        }
        _ => {
            "synced means on the disk of this server, and on those of its synchronous standbys if it has any"
        }
    };
    means.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Settings {
        Settings {
            version: 150_000,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".into(),
            standby: false,
            isolation: "read committed".into(),
        }
    }

    #[test]
    fn a_usual_server_is_taken_and_says_what_synced_means() {
        let words = judge(&usual(), false).unwrap();
        assert_eq!(words.len(), 1);
        assert!(words[0].starts_with("synced means on the disk of this server"));
    }

    #[test]
    fn g1_a_server_without_fsync_is_refused_unless_told() {
        let lossy = Settings { fsync: false, ..usual() };
        let Err(StoreError::Incompatible(why)) = judge(&lossy, false) else { panic!("it was taken") };
        assert!(why.contains("fsync=off") && why.contains("durability=none"), "{why}");
        assert!(judge(&lossy, true).unwrap()[0].contains("not that of the machine"));
    }

    #[test]
    fn what_weakens_the_promise_is_told() {
        for (setting, said) in
            [("off", "chunks only"), ("local", "also where it has standbys"), ("remote_write", "handed")]
        {
            let settings = Settings { synchronous_commit: setting.into(), ..usual() };
            assert!(judge(&settings, false).unwrap()[0].contains(said), "{setting}");
        }
        let torn = Settings { full_page_writes: false, ..usual() };
        assert!(judge(&torn, false).unwrap()[1].contains("full_page_writes=off"));
    }

    #[test]
    fn a_server_that_cannot_do_it_is_refused() {
        let old = Settings { version: 120_009, ..usual() };
        assert!(
            matches!(judge(&old, true), Err(StoreError::Incompatible(why)) if why.contains("PostgreSQL 12"))
        );
        let standby = Settings { standby: true, ..usual() };
        assert!(
            matches!(judge(&standby, true), Err(StoreError::Unavailable(why)) if why.contains("primary"))
        );
        let strict = Settings { isolation: "serializable".into(), ..usual() };
        assert!(
            matches!(judge(&strict, true), Err(StoreError::Incompatible(why)) if why.contains("read committed"))
        );
    }
}
