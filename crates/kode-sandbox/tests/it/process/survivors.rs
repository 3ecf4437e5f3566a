//! Nothing outlives its command, however it tries to get away and however the command ends.

use kode_core::sandbox::ProcessEnd;
use kode_core::tool::Cancel;
use kode_testkit::rounds::rounds;
use kode_testkit::survivors::{WAYS, mark, marked, until_gone, until_marked};

use super::{Host, command, level, run, silent, within};

#[tokio::test]
async fn g8_what_a_command_leaves_behind_ends_with_it() {
    let host = Host::new();
    let rounds = rounds("commands that leave something behind, per way and level", 10, 100);
    for name in ["strict", "confined", "hygiene"] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        for (nth, way) in (0..rounds).flat_map(|_| WAYS).enumerate() {
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
        for (nth, way) in WAYS.into_iter().enumerate() {
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
        for (nth, way) in WAYS.into_iter().enumerate() {
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
