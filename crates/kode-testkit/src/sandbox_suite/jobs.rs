//! Background jobs and their logs.

use std::sync::Arc;

use kode_core::id::JobId;
use kode_core::sandbox::{ProcessEnd, ProcessError, Processes};
use kode_core::tool::Cancel;

use super::{Bench, Silent, command, open, output, processes};

const LIMIT: usize = 1 << 20;

fn job() -> JobId {
    JobId::new("shell_1_0")
}

/// Reads on from a place until the job has told this, and gives the place behind it.
async fn until(processes: &dyn Processes, mut since: u64, wanted: &str) -> u64 {
    let mut told = String::new();
    while told != wanted {
        assert!(wanted.starts_with(&told), "{told:?} is not how {wanted:?} begins");
        if let Ok(log) = processes.logs(&job(), since, LIMIT).await {
            since = log.next;
            told += &String::from_utf8_lossy(&log.stdout);
        }
        tokio::task::yield_now().await;
    }
    since
}

/// While it runs, and nothing of it twice.
pub async fn a_job_is_read_on_from_place_to_place(bench: impl Bench) {
    let work = open(&bench, "a").await;
    let Some(processes) = processes(&*work, module_path!()) else { return };
    let line = command("echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; sleep 1000");
    let name = job();
    let run = processes.job(&name, &line, Cancel::default(), Arc::new(Silent));
    let reader = async {
        let behind = until(processes, 0, "one\n").await;
        output(processes, "touch go").await;
        until(processes, behind, "two\n").await;
    };
    tokio::select! {
        ended = run => panic!("it ends by itself: {ended:?}"),
        () = reader => {}
    }
}

/// All of it, and behind it nothing.
pub async fn a_jobs_output_is_there_after_its_end(bench: impl Bench) {
    let work = open(&bench, "a").await;
    let Some(processes) = processes(&*work, module_path!()) else { return };
    let line = command("echo out; echo err >&2; exit 5");
    let end = processes.job(&job(), &line, Cancel::default(), Arc::new(Silent)).await;
    assert_eq!(end, Ok(ProcessEnd::Exited { code: 5 }));
    let log = processes.logs(&job(), 0, LIMIT).await.expect("its log is kept");
    assert_eq!((&log.stdout[..], &log.stderr[..], log.more), (&b"out\n"[..], &b"err\n"[..], false));
    let nothing = processes.logs(&job(), log.next, LIMIT).await.expect("its log is kept");
    assert_eq!((nothing.stdout, nothing.stderr, nothing.next), (Vec::new(), Vec::new(), log.next));
}

/// As with a command.
pub async fn g8_a_dropped_job_is_held_until_nothing_of_it_is_left(bench: impl Bench) {
    let work = open(&bench, "a").await;
    let Some(processes) = processes(&*work, module_path!()) else { return };
    let (held, line) = (Cancel::default(), command("echo up; while :; do echo x >> grows; sleep 0.01; done"));
    let (leash, name) = (held.leash(), job());
    let run = processes.job(&name, &line, held, Arc::new(Silent));
    tokio::select! {
        ended = run => panic!("it ends by itself: {ended:?}"),
        _ = until(processes, 0, "up\n") => {}
    }
    leash.released().await;
    let size = work.stat("grows").await.map_or(0, |stat| stat.size);
    output(processes, "sleep 0.1").await;
    assert_eq!(work.stat("grows").await.map_or(0, |stat| stat.size), size, "nobody writes any more");
}

/// Another agent has no log of that name, and a name is not a path.
pub async fn g8_jobs_are_their_agents_own(bench: impl Bench) {
    let (work, other) = (open(&bench, "a").await, open(&bench, "b").await);
    let Some(processes) = processes(&*work, module_path!()) else { return };
    let ended = processes.job(&job(), &command("echo mine"), Cancel::default(), Arc::new(Silent)).await;
    ended.expect("it runs");
    let none = other.processes().expect("it has processes").logs(&job(), 0, LIMIT).await;
    assert_eq!(none, Err(ProcessError::NoLog(job())));
    let none = processes.logs(&JobId::new("../b/shell_1_0"), 0, LIMIT).await;
    assert!(matches!(none, Err(ProcessError::NoLog(_))), "{none:?}");
}
