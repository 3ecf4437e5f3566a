//! Opening a work directory: what is made, what is allowed, what is refused by its setting's name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kode_core::id::AgentId;
use kode_core::sandbox::{FileError, SandboxFactory, WalkOptions};
use kode_core::template::SandboxSpec;
use kode_sandbox::LocalSandbox;

use crate::support::{Host, SECRET, agent, outside};

fn allowing(paths: &[&Path]) -> SandboxSpec {
    let allow_paths = paths.iter().map(|path| path.display().to_string()).collect();
    SandboxSpec { allow_paths, ..SandboxSpec::default() }
}

fn level(level: &str) -> SandboxSpec {
    SandboxSpec { level: level.into(), ..SandboxSpec::default() }
}

#[tokio::test]
async fn work_directories_are_private_and_apart() {
    let host = Host::new().await;
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(host.path("agents")), mode(host.at(""))), (0o700, 0o700));

    fs::set_permissions(host.at(""), fs::Permissions::from_mode(0o755)).unwrap();
    host.work.write("mine", b"x").await.unwrap();
    host.sandbox.open(&agent(), &SandboxSpec::default()).await.unwrap();
    assert_eq!(mode(host.at("")), 0o700, "made private again");

    let other = AgentId::new("user:12").unwrap();
    let other = host.sandbox.open(&other, &SandboxSpec::default()).await.unwrap();
    assert_eq!(other.read("mine", 10).await, Err(FileError::NotFound("mine".into())));
    assert_eq!(other.read("../user:1/mine", 10).await, Err(outside("../user:1/mine")));
}

/// What of an agent is under way when it is removed, such as a write on a thread of its own, or on a node that was stopped,
/// is not for its successor.
#[tokio::test]
async fn g8_who_writes_after_the_removal_leaves_nothing_for_the_next_of_the_name() {
    let host = Host::new().await;
    let other = AgentId::new("user:12").unwrap();
    let elsewhere = LocalSandbox::new(host.path("agents")).unwrap();
    for late in [&host.sandbox, &elsewhere] {
        let late = late.open(&other, &SandboxSpec::default()).await.unwrap();
        assert!(host.path("agents/user:12").exists(), "there at once, for the host to put files into");
        host.sandbox.remove(&other).await.unwrap();
        let refused = late.write("late", b"x").await.unwrap_err().to_string();
        assert_eq!(refused, "the work directory: it was removed or replaced after the agent was taken up");
        let next = host.sandbox.open(&other, &SandboxSpec::default()).await.unwrap();
        next.write("own", b"x").await.unwrap();
        assert_eq!(late.write("late", b"x").await.unwrap_err().to_string(), refused);
        assert_eq!(fs::read_dir(host.path("agents/user:12")).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn g8_a_link_in_the_place_of_a_work_directory_is_refused() {
    let host = Host::new().await;
    let victim = AgentId::new("victim").unwrap();
    std::os::unix::fs::symlink(host.path("outside"), host.path("agents/victim")).unwrap();
    assert!(host.sandbox.open(&victim, &SandboxSpec::default()).await.is_err());
    host.sandbox.remove(&victim).await.unwrap();
    assert_eq!(fs::read(host.path("outside/secret")).unwrap(), SECRET);
}

#[tokio::test]
async fn allowed_paths_match_by_whole_components_and_end_where_they_end() {
    let host = Host::with(|dir| {
        fs::create_dir_all(dir.join("data/sub")).unwrap();
        fs::create_dir(dir.join("data-private")).unwrap();
        fs::create_dir(dir.join("outside-too")).unwrap();
        fs::write(dir.join("data/file"), "shared").unwrap();
        fs::write(dir.join("data-private/file"), "not shared").unwrap();
        std::os::unix::fs::symlink("../outside/secret", dir.join("data/link")).unwrap();
        allowing(&[&dir.join("outside-too"), &dir.join("data")])
    })
    .await;
    let path = |below: &str| host.path(below).display().to_string();

    assert_eq!(host.read(&path("data/file")).await, Ok(b"shared".to_vec()));
    assert_eq!(host.read(&path("data/./sub//../file")).await, Ok(b"shared".to_vec()));
    for escape in ["data-private/file", "data/../data-private/file", "data/link", "x/../data/file", ""] {
        let escape = path(escape);
        assert_eq!(host.read(&escape).await, Err(outside(&escape)));
    }
    host.work.write(&path("data/sub/new"), b"by the agent").await.unwrap();
    let listed = host.walk(&path("data"), WalkOptions::default()).await;
    assert_eq!(listed, ["data/file", "data/link", "data/sub", "data/sub/new"].map(path));
    assert_eq!(host.read(&listed[3]).await, Ok(b"by the agent".to_vec()));
}

#[tokio::test]
async fn an_allowed_path_that_cannot_be_is_an_error_that_names_the_setting() {
    let host = Host::new().await;
    let missing = host.path("missing");
    let file = host.path("outside/secret");
    let cases: [(&Path, &str); 4] = [
        (&missing, "does not exist; make it or take it out of the list"),
        (&file, "is not a directory; name the directory that holds it"),
        (Path::new("relative"), "must be an absolute path without \"..\""),
        (Path::new("/tmp/../etc"), "must be an absolute path without \"..\""),
    ];
    for (path, why) in cases {
        let refused = host.sandbox.open(&agent(), &allowing(&[Path::new("/tmp"), path])).await.err();
        let named = FileError::Io { path: "sandbox.allow_paths[1]".into(), why: why.into() };
        assert_eq!(refused, Some(named));
    }
}

/// Whoever may write in the outer one could put a link in its way.
#[tokio::test]
async fn g8_an_allowed_path_within_another_is_refused() {
    let host = Host::new().await;
    let outer = host.path("outside");
    let inner = outer.join("below");
    fs::create_dir(&inner).unwrap();
    let beside = host.path("outside-too");
    fs::create_dir(&beside).unwrap();
    let refused = host.sandbox.open(&agent(), &allowing(&[&inner, &outer])).await.err();
    let why = "lies within allow_paths[1]; take it out of the list".to_owned();
    assert_eq!(refused, Some(FileError::Io { path: "sandbox.allow_paths[0]".into(), why }));
    assert!(host.sandbox.open(&agent(), &allowing(&[&outer, &beside])).await.is_ok(), "a name is no path");
}

#[tokio::test]
async fn a_network_rule_that_cannot_be_is_an_error_that_names_the_setting() {
    let host = Host::new().await;
    let reaching = |entries: [&str; 2]| SandboxSpec {
        network: entries.map(str::to_owned).to_vec(),
        ..SandboxSpec::default()
    };
    let good = reaching(["api.example.com", "*.example.com:8443"]);
    assert!(host.sandbox.open(&agent(), &good).await.is_ok());
    let refused = host.sandbox.open(&agent(), &reaching(["api.example.com", "127.0.0.1"])).await.err();
    let why = "\"127.0.0.1\" is not an address of the outside world (loopback), which no rule can open";
    let named = FileError::Io { path: "sandbox.network[1]".into(), why: why.into() };
    assert_eq!(refused, Some(named));
}

#[tokio::test]
async fn without_a_helper_every_level_has_files_and_the_report_says_that_it_has_nothing_else() {
    let host = Host::new().await;
    for name in ["none", "hygiene", "confined", "isolated", "metered", "strict"] {
        let work = host.sandbox.open(&agent(), &level(name)).await.unwrap();
        let refused = work.processes().map(drop).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("helper::enter"), "{refused}");
    }
    let report = host.work.report();
    assert_eq!(report.level, "files");
    assert!(report.gaps.iter().any(|gap| gap.contains("helper::enter")), "{report:?}");
    let refused = host.sandbox.open(&agent(), &level("Strict")).await.err().unwrap().to_string();
    assert_eq!(
        refused,
        "sandbox.level: \"Strict\" is not a level; \
         use one of none, hygiene, confined, isolated, metered, strict"
    );
}

#[test]
fn a_parent_that_cannot_be_is_an_error_without_its_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let refused = LocalSandbox::new(dir.path().join("file/agents")).err().unwrap().to_string();
    assert!(refused.starts_with("the sandbox directory: cannot be made: "), "{refused}");
    assert!(!refused.contains(&*dir.path().to_string_lossy()));
}
