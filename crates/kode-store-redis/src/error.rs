//! From the server's errors to the port's. No message names the url: it may hold a password.

use kode_core::store::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Some other key of the server is where one of this store belongs, or a function of this store met what it never
/// wrote.
const FOREIGN: &str = "another program's keys are under this store's prefix; give the store a prefix of its own with \
                       ?prefix= in its url";

/// A failed request, as the port tells it.
pub(crate) fn failed(error: &RedisError) -> StoreError {
    let text = error.to_string();
    let said = |word: &str| error.code() == Some(word) || text.contains(&format!("{word} "));
    if said("OOM") || said("MISCONF") {
        return StoreError::Full(format!("{text}; give the server more room, or delete agents"));
    }
    if said("WRONGTYPE") {
        return StoreError::Incompatible(format!("{text}: {FOREIGN}"));
    }
    StoreError::Unavailable(match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            format!(
                "{text}; this is a replica: name the master in the store's url, or wait for the failover to end"
            )
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            format!("{text}; docs/scaling.md lists what the store's user must be allowed to do")
        }
        _ => text,
    })
}

/// An answer that no function of this store gives.
pub(crate) fn strange(function: &str, answer: &impl std::fmt::Debug) -> StoreError {
    StoreError::Incompatible(format!("the function {function} answered {answer:?}: {FOREIGN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reply: &str) -> StoreError {
        let error = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap().extract_error();
        failed(&error.unwrap_err())
    }

    #[test]
    fn a_full_server_is_full_and_all_else_may_pass_or_says_what_to_do() {
        let full = [
            "OOM command not allowed when used memory > 'maxmemory'. script: ab, on @user_script:41.",
            "ERR Error running script: -OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Errors writing to the AOF file: No space left on device",
        ];
        for reply in full {
            assert!(matches!(of(reply), StoreError::Full(_)), "{reply}");
        }
        for reply in
            ["READONLY You can't write against a read only replica.", "LOADING wait", "CLUSTERDOWN x"]
        {
            assert!(matches!(of(reply), StoreError::Unavailable(_)), "{reply}");
        }
        let foreign = of("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert!(matches!(&foreign, StoreError::Incompatible(why) if why.contains("?prefix=")), "{foreign}");
    }
}
