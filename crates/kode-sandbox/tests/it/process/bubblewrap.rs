//! Where bubblewrap makes the namespaces. All other tests of processes are repeated for that; here is how it comes to be.

use kode_core::sandbox::SandboxReport;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{Host, by_bubblewrap, has_bubblewrap, output};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Which calls a host refuses.
enum Refused {
    /// That by which the helper makes namespaces. bubblewrap makes them with another.
    Unshare,
    /// Every way to a user namespace.
    All,
}

/// Puts such a host's rule on this thread and on all that comes from it.
fn refuse(refused: &Refused) {
    let newuser = u64::try_from(libc::CLONE_NEWUSER).unwrap();
    let condition =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(newuser), newuser);
    let clone = SeccompRule::new(vec![condition.unwrap()]).unwrap();
    let mut rules = vec![(libc::SYS_unshare, Vec::new())];
    rules.extend(matches!(refused, Refused::All).then(|| (libc::SYS_clone, vec![clone])));
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let here = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, refuse, here).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

/// What `strict` is worth there, and what a command says. For a thread of its own, which the threads of its runtime come
/// from.
fn found(refused: &Refused) -> (SandboxReport, Option<String>) {
    refuse(refused);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::new();
        let report = host.sandbox.prove("strict").await.unwrap();
        let work = host.agent().await;
        let said = if work.processes().is_ok() { Some(output(&*work, "pwd; hostname").await) } else { None };
        (report, said)
    })
}

fn says(report: &SandboxReport, word: &str) -> bool {
    report.gaps.iter().any(|gap| gap.contains(word))
}

#[test]
fn g8_where_the_helper_may_make_no_namespaces_bubblewrap_does_and_the_report_says_why() {
    if !has_bubblewrap() {
        return;
    }
    let (report, said) = found(&Refused::Unshare);
    if is_root() {
        assert_eq!(report.level, "files", "root is not helped by it: {report:?}");
        assert!(says(&report, "namespaces") && !says(&report, "bubblewrap"), "{report:?}");
        return;
    }
    assert_eq!(report.level, "isolated", "{report:?}");
    assert!(report.probes.len() >= 12 && report.probes.values().all(|stopped| *stopped), "{report:?}");
    assert!(
        by_bubblewrap() || says(&report, "made by bubblewrap, as the helper's own are refused"),
        "{report:?}"
    );
    assert_eq!(said.as_deref(), Some("/work\nkode\n"));
}

#[test]
fn g8_where_neither_may_it_is_refused_with_both_reasons() {
    if !has_bubblewrap() {
        return;
    }
    let (report, said) = found(&Refused::All);
    assert_eq!((report.level.as_str(), said), ("files", None));
    assert!(is_root() || by_bubblewrap() || says(&report, "namespaces: "), "{report:?}");
    assert!(is_root() || says(&report, "bubblewrap: "), "{report:?}");
}

#[tokio::test]
async fn g8_it_is_not_asked_for_without_need() {
    let report = Host::new().sandbox.prove("strict").await.unwrap();
    assert!(!says(&report, "bubblewrap"), "{report:?}");
}

#[tokio::test]
async fn g8_a_server_that_is_root_does_not_rest_on_it() {
    if is_root() {
        let report = Host::new().sandbox.by_bubblewrap().prove("strict").await.unwrap();
        assert_eq!(report.level, "files");
        assert!(says(&report, "own_uid"), "{report:?}");
    }
}
