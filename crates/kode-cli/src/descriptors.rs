//! The open files that the system lets this process have: as many as it may, and no more agents in memory than they
//! are enough for. Never the limits of what agents run: those are the sandbox's.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What an agent in memory holds: its journal, and its work directory.
const EACH: u64 = 2;

/// Raises the limit as far as this process may (the usual 1,024 are meant for programs that count in bits), and tells
/// what it is then; nothing where there is none.
pub(crate) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum;
    if limit.current == most {
        return most;
    }
    let raised = rustix::process::Rlimit { current: most, maximum: most };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays");
            limit.current
        }
    }
}

/// How many agents may be in memory at once: as many as were asked for, as long as three quarters of the descriptors
/// are enough for them. The rest is for connections, commands and the store.
pub(crate) fn agents(asked: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return asked };
    let enough = usize::try_from(limit / 4 * 3 / EACH).unwrap_or(usize::MAX).max(1);
    if asked > enough {
        tracing::warn!(
            asked,
            agents = enough,
            limit,
            "the limit of open files is too low for so many agents in memory; raise it (LimitNOFILE, ulimit -n), or lower \
             KODE_MAX_AGENTS"
        );
    }
    asked.min(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_leave_a_quarter_of_the_descriptors() {
        assert_eq!(agents(1_000, Some(1_024)), 384);
        assert_eq!(agents(1_000, Some(20_000)), 1_000);
        assert_eq!(agents(10_000, None), 10_000);
        assert_eq!(agents(10, Some(1)), 1, "one agent is always tried");
    }
}
