//! Files: inside they are what was written, and outside there is nothing.

use kode_core::sandbox::{FileError, FileKind, WalkOptions};

use super::{Bench, id, open};

const LIMIT: u64 = 1 << 20;

/// Any bytes, also none; missing directories are made.
pub async fn what_was_written_is_read_with_the_directories_that_it_needs(bench: impl Bench) {
    let work = open(&bench, "a").await;
    let content: Vec<u8> = (0..=255).collect();
    work.write("deep/er/file", &content).await.expect("directories are made");
    assert_eq!(work.read("deep/er/file", LIMIT).await.as_ref(), Ok(&content));
    work.write("deep/er/file", b"").await.expect("it is replaced");
    assert_eq!(work.read("./deep/er/file", LIMIT).await, Ok(Vec::new()));
    let stat = work.stat("deep/er").await.expect("a directory has a kind");
    assert_eq!(stat.kind, FileKind::Directory);
    assert_eq!(work.read("deep/other", LIMIT).await, Err(FileError::NotFound("deep/other".into())));
}

/// Neither by dots nor by an absolute path; nor is a path that is none taken for one.
pub async fn g8_no_path_leads_out(bench: impl Bench) {
    let (work, other) = (open(&bench, "a").await, open(&bench, "b").await);
    other.write("secret", b"of another").await.expect("it is written");
    for path in ["../b/secret", "x/../../b/secret", "/etc/passwd", "..", "", "a\0b"] {
        let read = work.read(path, LIMIT).await;
        assert!(read.is_err(), "{path:?} was read");
        assert!(work.write(path, b"x").await.is_err(), "{path:?} was written");
    }
    assert_eq!(other.read("secret", LIMIT).await.expect("it is still there"), b"of another");
}

/// Also those whose ids differ in a letter, in its case, or begin alike.
pub async fn agents_have_directories_of_their_own(bench: impl Bench) {
    for agent in ["a", "A", "user:1", "user:12", "a.b", "a~b@c"] {
        open(&bench, agent).await.write("name", agent.as_bytes()).await.expect("it is written");
    }
    for agent in ["a", "A", "user:1", "user:12", "a.b", "a~b@c"] {
        let name = open(&bench, agent).await.read("name", LIMIT).await;
        assert_eq!(name.as_deref(), Ok(agent.as_bytes()));
    }
}

/// A second view of the same directory is something else.
pub async fn what_something_else_changed_is_not_overwritten(bench: impl Bench) {
    let (mine, other) = (open(&bench, "a").await, open(&bench, "a").await);
    mine.write("file", b"one").await.expect("it is written");
    mine.write("file", b"two").await.expect("my own changes are not something else's");
    other.read("file", LIMIT).await.expect("it is read");
    other.write("file", b"from elsewhere").await.expect("it is written");
    assert_eq!(mine.write("file", b"three").await, Err(FileError::Changed("file".into())));
    mine.read("file", LIMIT).await.expect("it is read again");
    mine.write("file", b"three").await.expect("now the change is known");
}

/// By path; hidden names only where they are asked for.
pub async fn walks_are_sorted_and_bounded(bench: impl Bench) {
    let work = open(&bench, "a").await;
    for path in ["b", "a/c", "a/b", "a-", ".hidden"] {
        work.write(path, b"x").await.expect("it is written");
    }
    let (entries, more) = work.walk(".", WalkOptions::default(), 100).await.expect("it is walked");
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!((paths.len(), more), (5, false), "a, a-, a/b, a/c, b: {paths:?}");
    assert_eq!(paths, sorted);
    let (first, more) = work.walk(".", WalkOptions::default(), 2).await.expect("it is walked");
    assert_eq!((first.len(), more), (2, true));
    let all = WalkOptions { hidden: true, ..WalkOptions::default() };
    assert_eq!(work.walk(".", all, 100).await.expect("it is walked").0.len(), 6);
}

/// Each with an error of its own.
pub async fn what_is_no_file_or_too_large_is_said_to_be_so(bench: impl Bench) {
    let work = open(&bench, "a").await;
    work.write("dir/file", b"12345").await.expect("it is written");
    assert!(matches!(work.read("dir", LIMIT).await, Err(FileError::WrongKind { .. })));
    assert!(matches!(work.write("dir", b"x").await, Err(FileError::WrongKind { .. })));
    assert!(matches!(work.write("dir/file/below", b"x").await, Err(FileError::WrongKind { .. })));
    let large = FileError::TooLarge { path: "dir/file".into(), size: 5, limit: 4 };
    assert_eq!(work.read("dir/file", 4).await, Err(large));
}

/// Over any number of openings, and only the removed agent's go.
pub async fn files_stay_until_they_are_removed(bench: impl Bench) {
    open(&bench, "a").await.write("file", b"x").await.expect("it is written");
    open(&bench, "b").await.write("file", b"y").await.expect("it is written");
    assert_eq!(open(&bench, "a").await.read("file", LIMIT).await.as_deref(), Ok(&b"x"[..]));
    bench.factory().remove(&id("a")).await.expect("it is removed");
    bench.factory().remove(&id("a")).await.expect("what is not there is no error");
    assert_eq!(open(&bench, "a").await.read("file", LIMIT).await, Err(FileError::NotFound("file".into())));
    assert_eq!(open(&bench, "b").await.read("file", LIMIT).await.as_deref(), Ok(&b"y"[..]));
}

/// The same for files and for processes.
pub async fn a_report_says_which_level_is_in_force(bench: impl Bench) {
    let work = open(&bench, "a").await;
    let report = work.report();
    assert!(!report.level.is_empty());
    match work.processes() {
        Ok(processes) => assert_eq!(processes.report().level, report.level),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}
