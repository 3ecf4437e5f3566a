//! Walks: sorted, bounded, by `.gitignore`, never through a link.

use std::fs;

use kode_core::sandbox::{FileError, FileKind, WalkOptions};
use proptest::prelude::*;

use crate::support::Host;

const PLAIN: WalkOptions = WalkOptions { hidden: false, ignored: false };
const HIDDEN: WalkOptions = WalkOptions { hidden: true, ignored: false };
const IGNORED: WalkOptions = WalkOptions { hidden: false, ignored: true };

#[tokio::test]
async fn entries_come_sorted_by_path_with_their_kinds_and_links_are_not_followed() {
    let host = Host::new().await;
    for path in ["b/x", "a/deep/z", "a-b", "a.c", "ä"] {
        host.put(path, path);
    }
    host.link(host.path("outside"), "out");
    host.link("a", "in");
    let (entries, more) = host.work.walk(".", PLAIN, 100).await.unwrap();
    let seen: Vec<_> = entries.iter().map(|e| (e.path.as_str(), e.stat.kind)).collect();
    use FileKind::{Directory, File, Symlink};
    let wanted = [
        ("a", Directory),
        ("a-b", File),
        ("a.c", File),
        ("a/deep", Directory),
        ("a/deep/z", File),
        ("b", Directory),
        ("b/x", File),
        ("in", Symlink),
        ("out", Symlink),
        ("ä", File),
    ];
    assert_eq!((seen, more), (wanted.to_vec(), false));
    assert_eq!(host.walk("./in/", PLAIN).await, ["in/deep", "in/deep/z"], "told as it was asked");
    assert_eq!(host.walk("in/../in", PLAIN).await, ["a/deep", "a/deep/z"], "told by the real place");
}

#[tokio::test]
async fn a_limit_takes_the_first_and_says_that_there_were_more() {
    let host = Host::new().await;
    for path in ["a/1", "a/2", "b"] {
        host.put(path, "");
    }
    let first = |limit| {
        let work = host.work.clone();
        async move {
            let (entries, more) = work.walk(".", PLAIN, limit).await.unwrap();
            (entries.into_iter().map(|e| e.path).collect::<Vec<_>>(), more)
        }
    };
    assert_eq!(first(2).await, (vec!["a".to_owned(), "a/1".to_owned()], true));
    assert_eq!(first(0).await, (vec![], true));
    assert!(!first(4).await.1);
}

#[tokio::test]
async fn gitignore_files_count_where_they_lie_and_the_nearest_decides() {
    let host = Host::new().await;
    host.put(".gitignore", "*.log\n/target\nbuild/\n# comment\n");
    host.put("sub/.gitignore", "!keep.log\n/local\n");
    for path in
        ["a.log", "target/x", "sub/target", "sub/a.log", "sub/keep.log", "sub/local", "build", "src/b"]
    {
        host.put(path, "");
    }
    host.put("sub/deep/build/x", "");
    let plain = ["build", "src", "src/b", "sub", "sub/deep", "sub/keep.log", "sub/target"];
    assert_eq!(host.walk(".", PLAIN).await, plain);
    assert_eq!(
        host.walk("sub", PLAIN).await,
        ["sub/deep", "sub/keep.log", "sub/target"],
        "the rules above the start count too"
    );
    assert_eq!(host.walk("target", PLAIN).await, ["target/x"], "what is named itself is walked");
    let all = host.walk(".", IGNORED).await;
    assert!(
        ["a.log", "target/x", "sub/local", "sub/deep/build/x"].iter().all(|p| all.contains(&(*p).into()))
    );
    assert!(host.walk(".", HIDDEN).await.contains(&".gitignore".into()));
}

#[tokio::test]
async fn g8_a_gitignore_that_is_a_link_or_a_pipe_is_not_read() {
    let host = Host::new().await;
    fs::write(host.path("outside/rules"), "*\n").unwrap();
    host.link("../../outside/rules", ".gitignore");
    host.put("dir/file", "");
    let pipe = host.at("dir/.gitignore");
    rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert_eq!(host.walk(".", PLAIN).await, ["dir", "dir/file"]);
}

#[tokio::test]
async fn g10_a_deep_tree_is_walked_to_a_bound_and_said_to_go_on() {
    let host = Host::new().await;
    fs::create_dir_all(host.at(&"d/".repeat(70))).unwrap();
    let (entries, more) = host.work.walk(".", PLAIN, 1_000).await.unwrap();
    assert_eq!((entries.len(), more), (64, true));
}

#[tokio::test]
async fn walking_a_file_or_nothing_is_an_error() {
    let host = Host::new().await;
    host.put("file", "");
    let found = "a file or below one";
    assert_eq!(
        host.work.walk("file", PLAIN, 1).await,
        Err(FileError::WrongKind { path: "file".into(), found, wanted: "a directory" })
    );
    assert_eq!(host.work.walk("none", PLAIN, 1).await, Err(FileError::NotFound("none".into())));
}

#[test]
fn any_tree_is_listed_whole_and_in_the_order_of_its_paths() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let paths = proptest::collection::btree_set("[a-c-][a-c.-]{0,2}(/[ab-]{1,2}){0,3}", 0..24);
    proptest!(ProptestConfig::with_cases(64), |(paths in paths)| {
        runtime.block_on(async {
            let host = Host::new().await;
            let mut wanted = std::collections::BTreeSet::new();
            for path in &paths {
                if host.work.write(path, b"").await.is_ok() {
                    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
                    wanted.extend(ends.map(|end| path[..end].to_owned()));
                }
            }
            let walked = host.walk(".", HIDDEN).await;
            assert_eq!(walked, wanted.into_iter().collect::<Vec<_>>());
        });
    });
}
