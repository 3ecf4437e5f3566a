//! A file that something else changed is not overwritten; the agent's own writes are no change.

use std::fs;
use std::time::{Duration, SystemTime};

use kode_core::sandbox::{FileError, SandboxFactory};
use kode_core::template::SandboxSpec;

use crate::support::{Host, agent};

fn changed(path: &str) -> Result<(), FileError> {
    Err(FileError::Changed(path.into()))
}

#[tokio::test]
async fn a_change_by_something_else_is_seen_until_the_file_is_read_again() {
    let host = Host::new().await;
    host.put("file", "one");
    host.read("file").await.unwrap();
    host.put("file", "two, by an editor");

    assert_eq!(host.work.write("file", b"three").await, changed("file"));
    assert_eq!(fs::read(host.at("file")).unwrap(), b"two, by an editor");

    host.read("file").await.unwrap();
    assert_eq!(host.work.write("file", b"three").await, Ok(()));
    assert_eq!(host.work.write("file", b"four").await, Ok(()), "its own writes are no change");
    host.put("file", "five, by an editor");
    assert_eq!(host.work.write("file", b"six").await, changed("file"));
}

#[tokio::test]
async fn the_same_size_and_the_old_time_do_not_hide_a_change() {
    let host = Host::new().await;
    host.put("file", "one");
    let old = SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options().write(true).open(host.at("file")).unwrap().set_modified(old).unwrap();
    host.read("file").await.unwrap();
    host.put("file", "two");
    fs::File::options().write(true).open(host.at("file")).unwrap().set_modified(old).unwrap();
    assert_eq!(host.work.write("file", b"new").await, changed("file"));
}

#[tokio::test]
async fn every_spelling_of_a_path_means_the_same_file() {
    let host = Host::new().await;
    host.put("dir/file", "one");
    host.link("dir", "alias");
    host.read("./dir//file").await.unwrap();
    host.put("dir/file", "changed");
    for path in ["dir/file", "alias/file", "alias/../dir/file"] {
        assert_eq!(host.work.write(path, b"x").await, changed(path));
    }
}

#[tokio::test]
async fn what_was_never_read_or_is_gone_may_be_written() {
    let host = Host::new().await;
    host.put("unread", "one");
    assert_eq!(host.work.write("unread", b"two").await, Ok(()));
    fs::remove_file(host.at("unread")).unwrap();
    assert_eq!(host.work.write("unread", b"three").await, Ok(()));
}

#[tokio::test]
async fn two_workspaces_do_not_share_what_they_have_seen() {
    let host = Host::new().await;
    host.put("file", "one");
    host.read("file").await.unwrap();
    let other = host.sandbox.open(&agent(), &SandboxSpec::default()).await.unwrap();
    other.write("file", b"by the other workspace").await.unwrap();
    assert_eq!(host.work.write("file", b"x").await, changed("file"));
}

#[tokio::test]
async fn writes_side_by_side_are_all_the_agents_own() {
    let host = Host::new().await;
    let writes = (0..16).map(|n| {
        let work = host.work.clone();
        tokio::spawn(async move { work.write("file", format!("{n}").as_bytes()).await })
    });
    for write in writes.collect::<Vec<_>>() {
        assert_eq!(write.await.unwrap(), Ok(()));
    }
    let last: usize = String::from_utf8(host.read("file").await.unwrap()).unwrap().parse().unwrap();
    assert!(last < 16);
}
