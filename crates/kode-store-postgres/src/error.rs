//! From the database's errors to the port's. No message tells an address or a password.

use kode_core::id::AgentId;
use kode_core::store::{Damage, StoreError};
use sqlx::error::DatabaseError;

/// A failed statement, as the port tells it. Whatever may pass is `Unavailable`: also what was cut off, whose
/// outcome is not known.
pub(crate) fn failed(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => refused(&**error),
        sqlx::Error::Io(error) => StoreError::Unavailable(format!(
            "the connection to the database failed: {error}; see whether PostgreSQL runs and can be reached"
        )),
        sqlx::Error::Tls(error) => StoreError::Unavailable(format!(
            "no TLS connection to the database: {error}; see sslmode and sslrootcert in the store's URL"
        )),
        other => StoreError::Unavailable(format!("the database answered what was not expected: {other}")),
    }
}

/// By the class of the server's code: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn refused(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default().into_owned();
    let said = format!("PostgreSQL {code}: {}", error.message());
    match code.as_str() {
        "53100" => {
            StoreError::Full(format!("{said}; free some space on the database's disk or delete agents"))
        }
        "28000" | "28P01" => {
            StoreError::Unavailable(format!("{said}; see the user and password of the store's URL"))
        }
        "3D000" => StoreError::Unavailable(format!("{said}; make it with `createdb`")),
        "42501" => StoreError::Unavailable(format!(
            "{said}; give the role its rights, or let one that has them run `kode store migrate`"
        )),
        "42P01" | "42703" | "3F000" => StoreError::Incompatible(format!(
            "{said}; the tables are not those of this version, run `kode store migrate`"
        )),
        // Serialization failures, deadlocks, time-outs of locks and statements, too many connections, a server that
        // stops, starts or became a standby, and what else may pass.
        _ => StoreError::Unavailable(said),
    }
}

/// A row that is not what was written.
pub(crate) fn damaged(agent: &AgentId, place: String, what: impl Into<String>) -> StoreError {
    StoreError::Damaged(Damage { agent: agent.clone(), place, what: what.into() })
}
