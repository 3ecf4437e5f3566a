//! Ways out of the work directory, each tried for reading, looking, listing and writing.

use std::fs;
use std::os::unix::net::UnixListener;

use kode_core::sandbox::{FileError, WalkOptions};
use kode_core::template::SandboxSpec;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Host, SECRET, outside};

/// Every operation on each path is refused as outside, and the host is as it was.
async fn refused(host: &Host, paths: &[&str]) {
    for path in paths {
        assert_eq!(host.read(path).await, Err(outside(path)), "read");
        assert_eq!(host.work.write(path, b"mine").await, Err(outside(path)), "write");
        let below = format!("{path}/new");
        assert_eq!(host.work.write(&below, b"mine").await, Err(outside(&below)), "write below");
        let walked = host.work.walk(path, WalkOptions::default(), 10).await;
        assert_eq!(walked, Err(outside(path)), "walk");
    }
    assert_eq!(fs::read(host.path("outside/secret")).unwrap(), SECRET);
    assert_eq!(fs::read_dir(host.path("outside")).unwrap().count(), 1);
}

#[tokio::test]
async fn g8_dots_and_absolute_paths_lead_nowhere() {
    let host = Host::new().await;
    host.put("dir/file", "inside");
    let secret = host.path("outside/secret").display().to_string();
    let own = host.at("dir/file").display().to_string();
    let paths = [
        "../../outside/secret",
        "../user:1/dir/file",
        "dir/../../../outside/secret",
        "..",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "~",
        "~/.ssh/id_rsa",
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd",
        &secret,
        // Even its own directory: a path that means something else in another process is not taken.
        &own,
    ];
    refused(&host, &paths).await;
    for path in paths {
        assert_eq!(host.work.stat(path).await, Err(outside(path)));
    }
}

/// Scenario 39. Upstream follows links out [S].
#[tokio::test]
async fn g8_links_out_are_refused_and_links_inside_work() {
    let host = Host::new().await;
    host.put("dir/file", "inside");
    host.link(host.path("outside/secret"), "to-file");
    host.link(host.path("outside"), "to-dir");
    host.link("../../outside/secret", "relative");
    host.link("to-file", "twice");
    host.link("/proc/self/root", "magic");
    host.link("/proc/self/fd/0", "magic-fd");
    host.link("dir", "inner");
    host.link("inner/../dir/./file", "inner-file");
    refused(&host, &["to-file", "relative", "twice", "magic", "magic-fd"]).await;
    refused(&host, &["to-dir", "to-dir/secret", "magic/etc/passwd"]).await;

    assert_eq!(host.read("inner/file").await, Ok(b"inside".to_vec()));
    assert_eq!(host.read("inner-file").await, Ok(b"inside".to_vec()));
    assert_eq!(host.read("dir/../inner/../dir/file").await, Ok(b"inside".to_vec()));
}

#[tokio::test]
async fn g8_magic_links_below_an_allowed_path_are_refused() {
    let host =
        Host::with(|_| SandboxSpec { allow_paths: vec!["/proc".into()], ..SandboxSpec::default() }).await;
    assert!(host.read("/proc/version").await.is_ok(), "what is no link can be read");
    for path in ["/proc/self/root/etc/passwd", "/proc/self/cwd/Cargo.toml", "/proc/self/fd/0"] {
        let refused = host.read(path).await;
        assert!(matches!(&refused, Err(FileError::Io { .. } | FileError::Outside(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn g8_a_file_with_a_second_hard_link_is_not_written() {
    let host = Host::new().await;
    fs::hard_link(host.path("outside/secret"), host.at("linked")).unwrap();
    let refused = host.work.write("linked", b"mine").await;
    let why = "it has another hard link; remove it first or write to a new name".to_owned();
    assert_eq!(refused, Err(FileError::Io { path: "linked".into(), why }));
    assert_eq!(fs::read(host.path("outside/secret")).unwrap(), SECRET);
    assert_eq!(fs::read(host.at("linked")).unwrap(), SECRET);
}

#[tokio::test]
async fn g8_a_pipe_a_socket_and_a_device_are_refused_and_never_waited_for() {
    let host = Host::new().await;
    let owner = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, host.at("pipe"), FileType::Fifo, owner, 0).unwrap();
    let _listener = UnixListener::bind(host.at("socket")).unwrap();
    // A device can only be made with privileges; an allowed /dev has one for everybody.
    let devices = Host::with(|_| SandboxSpec { allow_paths: vec!["/dev".into()], ..SandboxSpec::default() });
    let devices = devices.await;
    for (host, path) in [(&host, "pipe"), (&host, "socket"), (&devices, "/dev/zero")] {
        let special =
            FileError::WrongKind { path: path.into(), found: "a special file", wanted: "a regular file" };
        assert_eq!(host.read(path).await, Err(special.clone()));
        assert_eq!(host.work.write(path, b"x").await, Err(special));
    }
}

#[tokio::test]
async fn unusable_paths_are_told_from_those_outside() {
    let host = Host::new().await;
    let long_name = "n".repeat(256);
    let long_path = "d/".repeat(2_048) + "f";
    for path in ["", "a\0b", &long_name, &long_path] {
        for refused in [host.read(path).await.map(drop), host.work.write(path, b"x").await] {
            assert!(matches!(refused, Err(FileError::BadPath { .. })), "{refused:?}");
        }
    }
    for path in ["new/", "new/.", "."] {
        assert!(host.work.write(path, b"x").await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn names_that_only_look_like_a_way_out_are_legal() {
    let host = Host::new().await;
    for path in ["..foo", "...", "a/..b/..c", "~notes", "sp ace/ü\n", "-rf", "$HOME"] {
        assert_eq!(host.work.write(path, path.as_bytes()).await, Ok(()));
        assert_eq!(host.read(path).await, Ok(path.as_bytes().to_vec()));
    }
}

#[tokio::test]
async fn errors_name_the_path_that_was_asked_for_and_no_path_of_the_host() {
    let host = Host::new().await;
    host.put("file", "x");
    host.put("dir/file", "x");
    host.link("circle", "circle");
    host.link("nothing", "dangling");
    let mut told = Vec::new();
    for path in ["missing", "file/below", "dir", "circle", "dangling"] {
        told.push(host.read(path).await.unwrap_err().to_string());
        told.push(host.work.write(path, b"x").await.err().map_or("written".into(), |e| e.to_string()));
    }
    let circle = "circle: its symbolic links run in a circle or may not be followed";
    assert_eq!(
        told,
        [
            "missing does not exist",
            "written",
            "file/below is below a file, not in a directory",
            "file/below is below a file, not in a directory",
            "dir is a directory, not a regular file",
            "dir is a directory, not a regular file",
            circle,
            circle,
            "dangling does not exist",
            "dangling is a symbolic link that leads nowhere, not a regular file",
        ]
    );
}
