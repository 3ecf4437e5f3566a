//! Writing: atomic, with what is kept and what is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use kode_core::sandbox::FileError;
use kode_core::template::SandboxSpec;

use crate::support::Host;

fn mode(host: &Host, path: &str) -> u32 {
    fs::metadata(host.at(path)).unwrap().permissions().mode() & 0o7777
}

/// Every name in a directory, hidden and temporary ones too.
fn names(host: &Host, below: &str) -> Vec<String> {
    let entries = fs::read_dir(host.at(below)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_new_file_gets_its_directories_and_a_replaced_one_keeps_its_mode() {
    let host = Host::new().await;
    host.work.write("a/b/c/new.txt", b"one").await.unwrap();
    assert_eq!(host.read("a/b/c/new.txt").await, Ok(b"one".to_vec()));
    assert_eq!((mode(&host, "a/b/c/new.txt"), mode(&host, "a/b/c")), (0o644, 0o755));

    host.put("script", "old");
    fs::set_permissions(host.at("script"), fs::Permissions::from_mode(0o4751)).unwrap();
    let before = fs::metadata(host.at("script")).unwrap().ino();
    host.work.write("script", b"new").await.unwrap();
    assert_eq!(host.read("script").await, Ok(b"new".to_vec()));
    assert_eq!(mode(&host, "script"), 0o751, "permission bits stay, set-user-id goes");
    assert_ne!(fs::metadata(host.at("script")).unwrap().ino(), before, "replaced, not written over");
    assert_eq!(names(&host, ""), ["a", "script"]);
}

#[tokio::test]
async fn a_link_inside_stays_a_link_and_its_target_is_written() {
    let host = Host::new().await;
    host.put("real/file", "old");
    host.link("real", "dir");
    host.link("dir/file", "link");
    host.work.write("link", b"new").await.unwrap();
    host.work.write("dir/other", b"other").await.unwrap();
    assert!(fs::symlink_metadata(host.at("link")).unwrap().is_symlink());
    assert_eq!(fs::read(host.at("real/file")).unwrap(), b"new");
    assert_eq!(fs::read(host.at("real/other")).unwrap(), b"other");
}

#[tokio::test]
async fn directories_are_not_made_through_links_that_lead_nowhere_or_out() {
    let host = Host::new().await;
    host.link("../../outside/made", "out");
    host.link("nothing", "dangling");
    assert_eq!(host.work.write("out/x", b"x").await, Err(FileError::Outside("out/x".into())));
    assert_eq!(host.work.write("dangling/x", b"x").await, Err(FileError::NotFound("dangling/x".into())));
    assert!(!host.path("outside/made").exists() && !host.at("nothing").exists());
}

#[tokio::test]
async fn protected_names_are_refused_also_where_they_do_not_exist() {
    let host = Host::new().await;
    host.put("repo/.git/HEAD", "ref");
    host.put("repo/.git/config", "ref");
    host.put("store/hooks/x", "ref");
    host.link("repo/.git", "alias");
    host.link("store", ".git");
    let hostile = [
        ".envrc",
        "new/.git/hooks/pre-commit",
        "repo/.git/hooks/pre-commit",
        "repo/.git/./HOOKS/pre-commit",
        "repo/x/../.git/config",
        "alias/hooks/pre-commit",
        "alias/config",
        ".git/hooks/x",
        ".git/hooks/new",
        "repo/.gitmodules",
        ".vscode/tasks.json",
        ".mcp.json",
        "sub/.git",
    ];
    for path in hostile {
        assert_eq!(host.work.write(path, b"x").await, Err(FileError::Protected(path.into())));
    }
    assert_eq!(fs::read_dir(host.at("repo/.git")).unwrap().count(), 2, "no directory was made on the way");
    for kept in ["store/hooks/x", "repo/.git/config"] {
        assert_eq!(fs::read(host.at(kept)).unwrap(), b"ref");
    }
    for path in ["repo/.git/info/exclude", ".github/ci.yml", ".gitignore"] {
        assert_eq!(host.work.write(path, b"x").await, Ok(()));
    }
}

#[tokio::test]
async fn a_reader_sees_the_old_content_or_the_new_and_never_a_mixture() {
    let host = Host::new().await;
    let (old, new) = (vec![b'o'; 100_000], vec![b'n'; 300_000]);
    host.put("file", &old);
    let path = host.at("file");
    let whole = [old, new.clone()];
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        let mut reads = 0;
        while stopped.try_recv().is_err() || reads == 0 {
            let seen = fs::read(&path).unwrap();
            assert!(whole.contains(&seen), "a mixture of {} bytes", seen.len());
            reads += 1;
        }
    });
    for round in 0..40_u32 {
        let content = if round.is_multiple_of(2) { &new } else { &vec![b'o'; 100_000] };
        host.work.write("file", content).await.unwrap();
    }
    stop.send(()).unwrap();
    reader.join().unwrap();
    assert_eq!(names(&host, ""), ["file"], "no temporary name is left");
}

#[tokio::test]
async fn a_failed_write_leaves_the_old_file_and_no_temporary_one() {
    let host = Host::new().await;
    host.put("dir/inner", "x");
    let refused = host.work.write("dir", b"new").await;
    let wanted = "a regular file";
    assert_eq!(refused, Err(FileError::WrongKind { path: "dir".into(), found: "a directory", wanted }));
    host.read("dir/inner").await.unwrap();
    host.put("dir/inner", "by somebody else");
    assert_eq!(host.work.write("dir/inner", b"new").await, Err(FileError::Changed("dir/inner".into())));
    assert_eq!((names(&host, ""), names(&host, "dir")), (vec!["dir".into()], vec!["inner".into()]));
}

#[tokio::test]
async fn what_a_crash_left_is_stepped_over_and_not_listed() {
    let host = Host::new().await;
    let pid = std::process::id();
    for number in 0..50 {
        host.put(&format!(".kode-tmp-{pid}-{number}"), "left over");
    }
    host.work.write("file", b"new").await.unwrap();
    let all = kode_core::sandbox::WalkOptions { hidden: true, ignored: true };
    assert_eq!(host.walk(".", all).await, ["file"]);
}

#[tokio::test]
async fn too_large_is_told_with_both_numbers() {
    let host = Host::new().await;
    host.put("big", vec![0; 11]);
    let refused = host.work.read("big", 10).await;
    assert_eq!(refused, Err(FileError::TooLarge { path: "big".into(), size: 11, limit: 10 }));
    // A file that says 0 and gives more is bounded all the same.
    let endless = Host::with(|_| SandboxSpec { allow_paths: vec!["/proc".into()], ..SandboxSpec::default() });
    let refused = endless.await.work.read("/proc/version", 4).await;
    assert_eq!(refused, Err(FileError::TooLarge { path: "/proc/version".into(), size: 5, limit: 4 }));
    assert_eq!(host.work.read("big", 11).await.map(|bytes| bytes.len()), Ok(11));
}
