//! Somebody swaps directories and links while the agent opens: not one open may be stolen.
//!
//! The control is the usual way, "make the path canonical, compare the prefix, open", under the same swaps:
//! it must lose, or the test would show nothing.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use kode_testkit::rounds::rounds;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::{Host, SECRET};

/// How many times a test does a thing.
fn count(what: &str, usual: u64, soak: u64) -> usize {
    usize::try_from(rounds(what, usual, soak)).unwrap()
}

const OWN: &[u8] = b"the agent's own";

/// Swaps two names until told to stop, at least `least` times.
fn swap(a: &Path, b: &Path, least: usize, stop: &AtomicBool) -> usize {
    let mut swaps = 0;
    while swaps < least || !stop.load(Ordering::Relaxed) {
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
        swaps += 1;
    }
    swaps
}

/// What everybody writes at some time.
fn naive(root: &Path, path: &str) -> Option<Vec<u8>> {
    let full = root.join(path).canonicalize().ok()?;
    if !full.starts_with(root) {
        return None;
    }
    fs::read(full).ok()
}

/// A work directory in which `dir` is a directory or a link to the outside, by turns.
async fn arena() -> Host {
    let host = Host::new().await;
    host.put("dir/secret", OWN);
    host.link(host.path("outside"), "link");
    host
}

/// Opens `dir/secret` by `open` while it is swapped; how often each outcome came: own, stolen, refused.
fn contend(host: &Host, opens: usize, least: usize, mut open: impl FnMut() -> Option<Vec<u8>>) -> [usize; 3] {
    let (stop, began) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut outcomes = [0; 3];
    thread::scope(|scope| {
        scope.spawn(|| {
            began.store(1, Ordering::Relaxed);
            swap(&host.at("dir"), &host.at("link"), least, &stop)
        });
        while began.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        // On until both sides of the swap were met: a scheduler may show one of them for a long while.
        let mut tried = 0;
        while tried < opens || (outcomes[0].min(outcomes[2]) == 0 && tried < opens * 100) {
            tried += 1;
            let outcome = match open() {
                Some(content) if content == SECRET => 1,
                Some(content) => {
                    assert_eq!(content, OWN);
                    0
                }
                None => 2,
            };
            outcomes[outcome] += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    outcomes
}

#[tokio::test]
async fn g8_no_open_is_stolen_by_a_race_and_the_naive_check_loses_the_same_one() {
    let host = arena().await;
    let root = host.at("").canonicalize().unwrap();

    let mut tried = 0;
    let mut lost = 0;
    while lost == 0 && tried < 2_000_000 {
        lost += contend(&host, 5_000, 0, || naive(&root, "dir/secret"))[1];
        tried += 5_000;
    }
    assert!(lost > 0, "the control never lost in {tried} opens: the swaps do not contend");

    let handle = tokio::runtime::Handle::current();
    let opens = count("racing opens", 30_000, 2_000_000);
    let work = host.work.clone();
    let outcomes = thread::scope(|scope| {
        let host = &host;
        let open = move || handle.block_on(work.read("dir/secret", 1_024)).ok();
        scope
            .spawn(move || contend(host, opens, count("swaps against them", 3_000, 200_000), open))
            .join()
            .unwrap()
    });
    let [own, stolen, refused] = outcomes;
    assert_eq!(stolen, 0, "of {opens}");
    assert!(own > 0 && refused > 0, "both sides of the swap were met: {outcomes:?}");
}

#[tokio::test]
async fn g8_no_write_lands_outside_in_a_race() {
    let host = arena().await;
    let handle = tokio::runtime::Handle::current();
    let (work, writes) = (host.work.clone(), count("racing writes", 400, 20_000));
    let outcomes = thread::scope(|scope| {
        let host = &host;
        let write = move || handle.block_on(work.write("dir/new", OWN)).ok().map(|()| OWN.to_vec());
        scope
            .spawn(move || contend(host, writes, count("swaps against them", 3_000, 200_000), write))
            .join()
            .unwrap()
    });
    let names: Vec<_> = fs::read_dir(host.path("outside")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(fs::read(host.path("outside/secret")).unwrap(), SECRET);
    assert!(outcomes[0] > 0, "some writes went where they should: {outcomes:?}");
}
