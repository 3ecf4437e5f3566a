//! The ladder: which way to the namespaces is taken on this host. Where the helper may not make them, bubblewrap often may;
//! where neither can, there are none.

use super::hint::{self, Host};
use super::launch::LAUNCH;
use super::prove::{ATTEMPTS, PROOF};
use crate::helper::{BUBBLEWRAP_SLOW as SLOW, BUBBLEWRAP_STAGE, Failed};
use crate::policy::Builder;

/// The way that was found.
pub(super) struct Climbed<T> {
    pub(super) builder: Builder,
    pub(super) found: T,
    /// What the operator is told of a way that was refused.
    pub(super) note: Option<String>,
}

/// There is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fallen {
    /// Why, for each way.
    pub(super) why: Vec<String>,
    /// Whether it may be otherwise the next time.
    pub(super) may_pass: bool,
}

/// Tries one way, and bubblewrap where the helper's own was refused by a rule of the host's.
pub(super) async fn climb<T, F>(
    first: Builder,
    has_other: bool,
    host: &Host<'_>,
    attempt: impl Fn(Builder) -> F,
) -> Result<Climbed<T>, Fallen>
where
    F: Future<Output = Result<T, Failed>>,
{
    let refused = match attempt(first).await {
        Ok(found) => return Ok(Climbed { builder: first, found, note: None }),
        Err(failed) => failed,
    };
    let why = hint::told(&refused, host);
    let is_rule = hint::is_of_namespaces(&refused.stage) && !may_pass(&refused);
    if first == Builder::Bubblewrap || !is_rule || !has_other {
        let other = (is_rule && !has_other && !host.is_root).then(|| NO_OTHER.to_owned());
        return Err(Fallen { why: [why].into_iter().chain(other).collect(), may_pass: may_pass(&refused) });
    }
    match attempt(Builder::Bubblewrap).await {
        Ok(found) => {
            let note =
                format!("namespaces: made by {BUBBLEWRAP_STAGE}, as the helper's own are refused ({why})");
            Ok(Climbed { builder: Builder::Bubblewrap, found, note: Some(note) })
        }
        Err(failed) => Err(Fallen { may_pass: may_pass(&failed), why: vec![why, hint::told(&failed, host)] }),
    }
}

/// What an operator may try where there is no other way.
const NO_OTHER: &str = "bubblewrap: there is no /usr/bin/bwrap; some hosts allow it what they refuse kode";

/// A machine that had no room or no time for the attempts has said nothing about its rules.
fn may_pass(failed: &Failed) -> bool {
    const FULL: [&str; 4] =
        ["os error 11)", "os error 12)", "Resource temporarily unavailable", "Cannot allocate memory"];
    [PROOF, LAUNCH, ATTEMPTS, SLOW].contains(&&*failed.stage)
        || FULL.iter().any(|full| failed.why.contains(full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::prove::PROOF;

    /// What each way comes to: the helper's own and bubblewrap's.
    async fn tried(
        own: Option<&str>,
        other: Option<&str>,
    ) -> (Result<(Builder, Option<String>), Fallen>, usize) {
        let host = Host { is_root: false, setting: &|_| None };
        let count = std::cell::Cell::new(0);
        let attempt = |builder| {
            count.set(count.get() + 1);
            let stage = if builder == Builder::Helper { own } else { other };
            let failed = |stage: &str| Err(Failed { stage: stage.into(), why: "refused".into() });
            std::future::ready(stage.map_or(Ok(()), failed))
        };
        let climbed = climb(Builder::Helper, true, &host, attempt).await;
        (climbed.map(|climbed| (climbed.builder, climbed.note)), count.get())
    }

    #[tokio::test]
    async fn the_helpers_own_way_is_taken_where_it_is_open() {
        assert_eq!(tried(None, None).await, (Ok((Builder::Helper, None)), 1));
    }

    #[tokio::test]
    async fn bubblewrap_is_taken_where_the_helper_may_not_and_the_report_says_why() {
        let (climbed, count) = tried(Some("host name"), None).await;
        let (builder, note) = climbed.unwrap();
        assert_eq!((builder, count), (Builder::Bubblewrap, 2));
        assert!(note.as_ref().is_some_and(|note| note.contains("host name: refused")), "{note:?}");
    }

    #[tokio::test]
    async fn where_neither_may_both_reasons_are_told() {
        let (climbed, _) = tried(Some("namespaces"), Some(BUBBLEWRAP_STAGE)).await;
        let Fallen { why, may_pass } = climbed.unwrap_err();
        assert!(why[0].starts_with("namespaces") && why[1].starts_with("bubblewrap") && !may_pass, "{why:?}");
    }

    #[tokio::test]
    async fn what_is_no_rule_of_the_hosts_takes_no_other_way() {
        for (stage, may_pass) in [("landlock", false), (PROOF, true), (ATTEMPTS, true)] {
            let (climbed, count) = tried(Some(stage), None).await;
            assert_eq!((climbed.unwrap_err().may_pass, count), (may_pass, 1), "{stage}");
        }
        let busy = std::io::Error::from(rustix::io::Errno::AGAIN).to_string();
        assert!(may_pass(&Failed { stage: "namespaces".into(), why: busy }), "a moment is no rule");
    }
}
