//! Removing a work directory: whole, whatever is in it, and nothing beside it.

use std::fs;

use kode_core::id::AgentId;
use kode_core::sandbox::SandboxFactory;
use kode_core::template::SandboxSpec;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Host, SECRET, agent};

#[tokio::test]
async fn g7_removing_takes_the_tree_and_leaves_what_its_links_name() {
    let host = Host::new().await;
    host.put("a/b/file", "x");
    host.put(".removed-1", "a name that removal itself would use");
    host.link(host.path("outside"), "a/out");
    let other = AgentId::new("other").unwrap();
    let kept = host.sandbox.open(&other, &SandboxSpec::default()).await.unwrap();
    kept.write("kept", b"x").await.unwrap();

    host.sandbox.remove(&agent()).await.unwrap();
    host.sandbox.remove(&agent()).await.unwrap();
    let left: Vec<_> = fs::read_dir(host.path("agents")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["other"]);
    assert_eq!(fs::read(host.path("outside/secret")).unwrap(), SECRET);
    assert_eq!(kept.read("kept", 10).await, Ok(b"x".to_vec()));

    let again = host.sandbox.open(&agent(), &SandboxSpec::default()).await.unwrap();
    assert!(again.stat("a").await.is_err(), "made anew, it is empty");
}

#[tokio::test]
async fn a_tree_deeper_than_any_path_and_wider_than_a_batch_is_removed() {
    let host = Host::new().await;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir = openat(CWD, host.at(""), flags, Mode::empty()).unwrap();
    for depth in 0..2_100 {
        let name = if depth % 100 == 7 { ".removed-3" } else { "d" };
        mkdirat(&dir, name, Mode::RWXU).unwrap();
        dir = openat(&dir, name, flags, Mode::empty()).unwrap();
    }
    for file in 0..1_100 {
        host.put(&format!("wide/{file}"), "");
    }
    // Not one descriptor for each level.
    let limits = Rlimit { current: Some(512), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limits).unwrap();
    host.sandbox.remove(&agent()).await.unwrap();
    assert_eq!(fs::read_dir(host.path("agents")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_crash_left_of_a_removal_is_taken_up() {
    let host = Host::new().await;
    host.put("file", "x");
    fs::rename(host.at(""), host.path("agents/.removed-user:1")).unwrap();
    host.sandbox.remove(&agent()).await.unwrap();
    assert_eq!(fs::read_dir(host.path("agents")).unwrap().count(), 0);
}
