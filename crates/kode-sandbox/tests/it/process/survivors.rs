//! Nothing outlives its command, however it tries to get away and however the command ends.

use std::time::{Duration, Instant};

use kode_core::sandbox::ProcessEnd;
use kode_core::tool::Cancel;
use kode_testkit::rounds::rounds;

use super::{Host, command, level, run, silent, within};

/// Ways to leave something behind; `MARK` is what it is found by.
const AWAY: [&str; 7] = [
    "sleep MARK &",
    "nohup sleep MARK > /dev/null 2>&1 &",
    "setsid sleep MARK &",
    "(setsid nohup sleep MARK > /dev/null 2>&1 &) &",
    "perl -MPOSIX -e 'fork and exit; POSIX::setsid(); fork and exit; $SIG{$_} = \"IGNORE\" for qw(HUP TERM INT); exec qw(sleep MARK)'",
    "bash -c 'trap \"\" HUP TERM; exec sleep MARK' & disown -a",
    "for i in 1 2 3 4 5 6 7 8; do (setsid sleep MARK &); done",
];

/// Processes on this machine that have the mark in their arguments.
fn marked(mark: &str) -> Vec<i32> {
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let state = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let dead = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']));
        let found = !dead && line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
        found.then_some(pid)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
}

fn mark(nth: u64) -> String {
    format!("{}.{nth}", 100_000 + std::process::id())
}

async fn until_marked(mark: &str) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while marked(mark).is_empty() {
        assert!(Instant::now() < give_up, "what is to get away was never started");
        tokio::task::yield_now().await;
    }
}

/// Waits, within bounds, until nothing with the mark is left.
async fn until_gone(mark: &str) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !marked(mark).is_empty() {
        assert!(Instant::now() < give_up, "something is left");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn g8_what_a_command_leaves_behind_ends_with_it() {
    let host = Host::new();
    let rounds = rounds("process survivors, per way", 2, 20);
    for name in ["strict", "confined", "hygiene"] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        for (nth, way) in (0..rounds).flat_map(|_| AWAY).enumerate() {
            let mark = mark(nth as u64);
            let line = format!("{}; exit 0", way.replace("MARK", &mark));
            let line = line.replace("&;", "&");
            let ran = run(&*work, &command(&line)).await;
            assert_eq!(ran.end, ProcessEnd::Exited { code: 0 }, "{name} {line}: {}", ran.stderr.text());
            assert_eq!(marked(&mark), [0; 0], "{name}: {line}");
        }
    }
}

#[tokio::test]
async fn g8_at_the_time_limit_everything_dies() {
    let host = Host::new();
    for name in ["strict", "confined"] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        for (nth, way) in AWAY.into_iter().enumerate() {
            let mark = mark(1_000 + nth as u64);
            let line = format!("{}\nsleep 1000", way.replace("MARK", &mark));
            let ran = run(&*work, &within(&line, 700)).await;
            assert_eq!(ran.end, ProcessEnd::TimedOut, "{name} {line}");
            assert_eq!(marked(&mark), [0; 0], "{name}: {line}");
        }
    }
}

#[tokio::test]
async fn g8_a_command_that_nobody_waits_for_dies_with_all_that_it_started() {
    let host = Host::new();
    for name in ["strict", "confined"] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        for (nth, way) in AWAY.into_iter().enumerate() {
            let mark = mark(2_000 + nth as u64);
            let line = format!("{}\nsleep 1000", way.replace("MARK", &mark));
            let command = command(&line);
            let run = work.processes().unwrap().run(&command, Cancel::default(), silent());
            tokio::select! {
                _ = run => panic!("it ends by itself"),
                () = until_marked(&mark) => {}
            }
            until_gone(&mark).await;
        }
    }
}

#[tokio::test]
async fn g8_the_death_of_the_helper_is_the_death_of_all() {
    let host = Host::new();
    let work = host.agent().await;
    let mark = mark(3_000);
    let command = command(&format!("(setsid sleep {mark} &); sleep 1000"));
    let run = work.processes().unwrap().run(&command, Cancel::default(), silent());
    let killer = async {
        until_marked(&mark).await;
        let helper = helper_of(marked(&mark)[0]);
        rustix::process::kill_process(helper, rustix::process::Signal::KILL).unwrap();
    };
    let (ran, ()) = tokio::join!(run, killer);
    assert!(matches!(ran.unwrap().end, ProcessEnd::Failed { .. }));
    until_gone(&mark).await;
}

/// The child of this process from which another comes.
fn helper_of(mut process: i32) -> rustix::process::Pid {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        let parent: i32 = fields.split_whitespace().nth(1).unwrap().parse().unwrap();
        if u32::try_from(parent) == Ok(std::process::id()) {
            return rustix::process::Pid::from_raw(process).unwrap();
        }
        process = parent;
    }
}
