//! Copies of work directories, and directories that several agents work in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use kode_core::id::AgentId;
use kode_core::sandbox::{Copied, FileError, ForkFiles, SandboxFactory, Workspace};
use kode_core::template::SandboxSpec;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Host, SECRET, agent};

const TICKET: &str = "01ticket";

fn id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn forks(host: &Host) -> &dyn ForkFiles {
    host.sandbox.forks().expect("the local sandbox copies and shares")
}

async fn opened(host: &Host, name: &str) -> std::sync::Arc<dyn Workspace> {
    host.sandbox.open(&id(name), &SandboxSpec::default()).await.unwrap()
}

fn left(host: &Host) -> Vec<String> {
    let names = fs::read_dir(host.path("agents")).unwrap();
    let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_has_files_directories_links_and_modes_and_is_nobodys_until_it_is_settled() {
    let host = Host::new().await;
    host.put("a/deep/file", "one");
    host.put("run.sh", "two");
    host.put("a/readonly/x", "three");
    fs::set_permissions(host.at("run.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(host.at("a/readonly"), fs::Permissions::from_mode(0o555)).unwrap();
    host.link("a/deep", "to-deep");
    host.link("/nowhere/at/all", "dangling");
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(host.at("a/deep/file")).unwrap().set_modified(old).unwrap();

    let copied = forks(&host).copy(&agent(), TICKET).await.unwrap();
    assert_eq!(copied, Copied { files: 3, bytes: 11, skipped: 0 });
    assert!(forks(&host).is_vacant(&id("fork")).await.unwrap());
    forks(&host).settle(TICKET, &id("fork")).await.unwrap();
    forks(&host).settle(TICKET, &id("fork")).await.unwrap();
    assert_eq!(left(&host), ["fork", "user:1"]);

    let fork = opened(&host, "fork").await;
    assert_eq!(fork.read("to-deep/file", 10).await, Ok(b"one".to_vec()));
    let at = |path: &str| host.path("agents/fork").join(path);
    assert_eq!(fs::read_link(at("dangling")).unwrap(), Path::new("/nowhere/at/all"));
    let mode = |path: &str| fs::symlink_metadata(at(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("run.sh"), mode("a/readonly"), mode("")), (0o755, 0o555, 0o700));
    assert_eq!(fs::metadata(at("a/deep/file")).unwrap().modified().unwrap(), old);

    fork.write("a/deep/file", b"changed").await.unwrap();
    assert_eq!(host.read("a/deep/file").await, Ok(b"one".to_vec()), "they are two files");
}

/// The copy takes the place of an empty directory, which whoever worked in it before does not follow.
#[tokio::test]
async fn g8_who_had_the_name_before_a_fork_does_not_write_into_its_files() {
    let host = Host::new().await;
    host.put("file", "x");
    let late = opened(&host, "fork").await;
    forks(&host).copy(&agent(), TICKET).await.unwrap();
    forks(&host).settle(TICKET, &id("fork")).await.unwrap();
    assert!(late.write("late", b"x").await.is_err());
    assert_eq!(fs::read_dir(host.path("agents/fork")).unwrap().count(), 1);
    assert_eq!(opened(&host, "fork").await.read("file", 10).await, Ok(b"x".to_vec()));
}

#[tokio::test]
async fn g8_a_link_is_copied_as_a_link_and_what_it_names_stays_out_of_reach() {
    let host = Host::new().await;
    host.link(host.path("outside"), "out");
    host.link(host.path("outside/secret"), "secret");
    forks(&host).copy(&agent(), TICKET).await.unwrap();
    forks(&host).settle(TICKET, &id("fork")).await.unwrap();
    let fork = opened(&host, "fork").await;
    for path in ["out/secret", "secret"] {
        assert_eq!(fork.read(path, 100).await, Err(FileError::Outside(path.into())));
        assert!(
            fs::symlink_metadata(host.path("agents/fork").join(path.split('/').next().unwrap()))
                .unwrap()
                .is_symlink()
        );
    }
    assert_eq!(fs::read(host.path("outside/secret")).unwrap(), SECRET);
}

/// While the copy is under way a directory becomes a link to somebody else's, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_no_race_makes_a_copy_follow_a_link() {
    let host = Host::new().await;
    for file in 0..50 {
        host.put(&format!("dir/{file}"), "mine");
        fs::write(host.path(&format!("outside/{file}")), SECRET).unwrap();
    }
    let mut copied = 0;
    let (dir, link, away) = (host.at("dir"), host.at("link"), host.at("away"));
    host.link(host.path("outside"), "link");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let racer = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = fs::rename(&dir, &away).and_then(|()| fs::rename(&link, &dir));
            let _ = fs::rename(&dir, &link).and_then(|()| fs::rename(&away, &dir));
        }
    });
    for round in 0..kode_testkit::rounds::rounds("copies in a race", 60, 2_000) {
        let ticket = format!("race{round}");
        // It may fail, as the tree moves under it; it must not follow.
        if forks(&host).copy(&agent(), &ticket).await.is_ok() {
            let copy = host.path("agents").join(format!(".copy-{ticket}"));
            assert!(!holds_secret(&copy), "a copy has what a link named");
            copied += 1;
        }
        forks(&host).discard(&ticket).await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    racer.join().unwrap();
    assert!(copied > 0, "no copy came to its end");
}

fn holds_secret(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        (kind.is_dir() && holds_secret(&entry.path()))
            || (kind.is_file() && fs::read(entry.path()).unwrap() == SECRET)
    })
}

#[tokio::test]
async fn sockets_and_pipes_are_left_out_and_counted_and_writes_under_way_are_not() {
    let host = Host::new().await;
    host.put("file", "x");
    host.put("dir/.kode-tmp-1-1", "half a write");
    let _listener = UnixListener::bind(host.at("socket")).unwrap();
    mknodat(CWD, host.at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let copied = forks(&host).copy(&agent(), TICKET).await.unwrap();
    assert_eq!(copied, Copied { files: 1, bytes: 1, skipped: 2 });
    forks(&host).settle(TICKET, &id("fork")).await.unwrap();
    let names: Vec<_> = opened(&host, "fork")
        .await
        .walk(".", kode_core::sandbox::WalkOptions { hidden: true, ignored: true }, 10)
        .await
        .unwrap()
        .0;
    assert_eq!(names.into_iter().map(|entry| entry.path).collect::<Vec<_>>(), ["dir", "file"]);
}

#[tokio::test]
async fn g10_a_tree_too_deep_or_too_large_is_refused_and_leaves_nothing() {
    let host = Host::new().await;
    host.put(&format!("{}/file", "d/".repeat(70)), "x");
    let refused = forks(&host).copy(&agent(), TICKET).await.unwrap_err();
    assert!(refused.to_string().contains("deeper than 64"), "{refused}");
    assert_eq!(left(&host), ["user:1"]);
    fs::remove_dir_all(host.at("d")).unwrap();

    // A hole costs nothing to make and everything to copy.
    fs::File::create(host.at("huge")).unwrap().set_len(1 << 40).unwrap();
    let refused = forks(&host).copy(&agent(), TICKET).await.unwrap_err();
    assert!(matches!(refused, FileError::TooLarge { .. }), "{refused}");
    assert_eq!(left(&host), ["user:1"]);
}

#[tokio::test]
async fn a_copy_takes_no_place_that_has_files_and_a_missing_directory_is_an_empty_one() {
    let host = Host::new().await;
    host.put("file", "x");
    opened(&host, "taken").await.write("old", b"old").await.unwrap();
    opened(&host, "empty").await;
    let vacant = async |name| forks(&host).is_vacant(&id(name)).await.unwrap();
    assert_eq!((vacant("taken").await, vacant("empty").await, vacant("missing").await), (false, true, true));

    forks(&host).copy(&agent(), TICKET).await.unwrap();
    assert!(forks(&host).settle(TICKET, &id("taken")).await.is_err());
    assert_eq!(opened(&host, "taken").await.read("old", 9).await, Ok(b"old".to_vec()));
    forks(&host).settle(TICKET, &id("empty")).await.unwrap();
    assert_eq!(opened(&host, "empty").await.read("file", 9).await, Ok(b"x".to_vec()));

    let none = forks(&host).copy(&id("missing"), "other").await.unwrap();
    assert_eq!(none, Copied::default());
    forks(&host).settle("other", &id("fork")).await.unwrap();
    assert!(forks(&host).is_vacant(&id("fork")).await.unwrap());
    for ticket in ["", "../x", "a/b", ".."] {
        assert!(
            matches!(forks(&host).copy(&agent(), ticket).await, Err(FileError::BadPath { .. })),
            "{ticket}"
        );
    }
}

#[tokio::test]
async fn what_is_thrown_away_is_gone_and_what_was_never_made_is_no_error() {
    let host = Host::new().await;
    host.put("file", "x");
    forks(&host).copy(&agent(), TICKET).await.unwrap();
    forks(&host).discard(TICKET).await.unwrap();
    forks(&host).discard(TICKET).await.unwrap();
    forks(&host).settle(TICKET, &id("fork")).await.unwrap();
    assert_eq!(left(&host), ["user:1"]);
}

#[tokio::test]
async fn g7_a_directory_stays_while_another_agent_works_in_it() {
    let host = Host::new().await;
    host.put("file", "x");
    for user in ["one", "two", "two"] {
        forks(&host).share(&agent(), &id(user)).await.unwrap();
    }
    for user in ["one", "never", "two"] {
        host.sandbox.remove(&agent()).await.unwrap();
        assert_eq!(host.read("file").await, Ok(b"x".to_vec()), "before {user} left it");
        forks(&host).unshare(&agent(), &id(user)).await.unwrap();
    }
    host.sandbox.remove(&agent()).await.unwrap();
    assert_eq!(left(&host), [".shares"]);

    forks(&host).share(&id("gone"), &id("three")).await.unwrap();
    assert!(fs::metadata(host.path("agents/gone")).unwrap().is_dir(), "it is made where it is missing");
}

#[tokio::test]
async fn many_copies_at_once_are_whole() {
    let host = Host::new().await;
    for file in 0..40 {
        host.put(&format!("{}/{file}", file % 7), file.to_string());
    }
    let copies = (0..20).map(|nth| {
        let sandbox = host.sandbox.clone();
        tokio::spawn(async move { sandbox.copy(&agent(), &format!("t{nth}")).await.unwrap() })
    });
    for copy in copies.collect::<Vec<_>>() {
        assert_eq!(copy.await.unwrap().files, 40);
    }
}
