//! Levels and layers: what is put on is what is reported, and what is missing is said and refused.

use kode_core::sandbox::{ProcessError, SandboxFactory as _};
use kode_sandbox::{Layer, Level};

use super::{Host, command, level, output, run, succeeds};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn g8_every_probe_of_the_strict_level_is_stopped() {
    let host = Host::new();
    let report = host.sandbox.prove("strict").await.unwrap();
    let open: Vec<_> = report.probes.iter().filter(|(_, stopped)| !**stopped).collect();
    assert!(report.probes.len() >= 12 && open.is_empty(), "{open:?}");
    assert!(["isolated", "metered"].contains(&report.level.as_str()), "{report:?}");
    assert!(!report.gaps.is_empty(), "no level is without gaps");
}

#[tokio::test]
async fn g8_at_level_none_the_probes_succeed() {
    let host = Host::new();
    let report = host.sandbox.prove("none").await.unwrap();
    let open = |name: &str| report.probes.get(name) == Some(&false);
    for name in ["read_outside", "write_outside", "read_server_environment", "connect_tcp", "signal_server"] {
        assert!(open(name), "the attempt {name} has teeth: {report:?}");
    }
}

#[tokio::test]
async fn g8_without_any_one_layer_the_report_names_it_and_strict_refuses() {
    for layer in Level::Isolated.layers() {
        let host = Host::new();
        let host = Host { sandbox: host.sandbox.clone().without([layer]), ..host };
        let work = host.agent().await;
        let Err(ProcessError::Unavailable { asked, missing, hint }) = work.processes().map(drop) else {
            panic!("{layer:?} is not needed");
        };
        assert_eq!(asked, "strict");
        assert!(missing.iter().any(|line| line.contains(layer.name())), "{layer:?}: {missing:?}");
        assert!(hint.contains("kode doctor"));
        let report = work.report();
        assert_eq!((report.level.as_str(), report.layers[layer.name()]), ("files", false), "{layer:?}");
        work.write("a", b"files still work").await.unwrap();
    }
}

/// What is known beforehand is what an agent is told that comes later.
#[tokio::test]
async fn what_was_prepared_is_known_before_the_first_agent() {
    let host = Host::new();
    host.sandbox.prepare(&level("no such level")).await;
    assert_eq!(host.sandbox.report().level, "unknown");
    host.sandbox.prepare(&level("strict")).await;
    let known = host.sandbox.report();
    assert!(["isolated", "metered"].contains(&known.level.as_str()), "{known:?}");
    assert_eq!(*host.agent().await.report(), known);
}

/// Servers on one directory prove at the same time, in containers with the same process numbers; and one that died in its
/// proof leaves something behind.
#[tokio::test]
async fn proofs_are_in_nobodys_way() {
    let host = Host::new();
    let (pid, agents) = (std::process::id(), host.path().join("agents"));
    for nth in 0..64 {
        std::fs::write(agents.join(format!("secret-{pid}-{nth}")), "left").unwrap();
    }
    let left = agents.join(".proofs/left/work");
    std::fs::create_dir_all(&left).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
    std::fs::File::open(left.parent().unwrap()).unwrap().set_modified(old).unwrap();
    let others: Vec<_> = (0..4).map(|_| kode_sandbox::LocalSandbox::new(&agents).unwrap()).collect();
    let others = others.into_iter().map(|other| other.with_helper(super::helper()));
    let proofs = others.map(|other| async move { other.prove("strict").await.unwrap().level });
    for level in futures_util::future::join_all(proofs).await {
        assert!(["isolated", "metered"].contains(&level.as_str()), "{level}");
    }
    assert!(!agents.join(".proofs").exists(), "something is left of a proof");
}

/// A proof that could not be made says nothing of the host for good.
#[tokio::test]
async fn a_proof_that_failed_is_made_again() {
    let host = Host::new();
    let places = host.path().join("agents/.proofs");
    std::fs::write(&places, "in the way").unwrap();
    let refused = host.sandbox.prove("strict").await.unwrap();
    assert_eq!(refused.level, "files");
    assert!(refused.gaps.iter().any(|gap| gap.contains("proof")), "{refused:?}");
    std::fs::remove_file(places).unwrap();
    let found = host.sandbox.prove("strict").await.unwrap();
    assert!(["isolated", "metered"].contains(&found.level.as_str()), "{found:?}");
}

#[tokio::test]
async fn a_layer_that_only_betters_a_level_may_be_missing() {
    let host = Host::new();
    let host = Host { sandbox: host.sandbox.clone().without([Layer::Cgroup]), ..host };
    assert_eq!(host.sandbox.prove("strict").await.unwrap().level, "isolated");
    assert_eq!(output(&*host.agent().await, "echo runs").await, "runs\n");
    let refused = host.open("m", &level("metered")).await.processes().map(drop).unwrap_err();
    let first = if is_root() { "cgroup" } else { "own_uid" };
    assert!(refused.to_string().contains(first), "{refused}");
}

#[tokio::test]
async fn less_is_only_had_by_asking_for_it() {
    let host = Host::new();
    std::fs::write(host.path().join("outside"), "o").unwrap();
    let outside = host.path().join("outside").display().to_string();
    let read = format!("cat {outside}");
    for (name, reads) in [("none", true), ("hygiene", true), ("confined", false), ("isolated", false)] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        assert_eq!(succeeds(&*work, &read).await, reads, "{name}");
        let ran = run(&*work, &command("echo inside > file && cat file")).await;
        assert_eq!(ran.stdout.text(), "inside\n", "{name}: {}", ran.stderr.text());
    }
}

#[tokio::test]
async fn g8_each_agent_has_a_user_of_its_own_where_the_server_is_root() {
    if !is_root() {
        kode_testkit::rounds::skipped("a user id for each agent", "only root gives them");
        return;
    }
    let host = Host::new();
    let line = "cat /proc/self/uid_map | awk '{print $2}'";
    let first = output(&*host.agent().await, line).await;
    let second = output(&*host.open("b", &level("strict")).await, line).await;
    assert!(first != second && first.trim() != "0", "{first} {second}");
}
