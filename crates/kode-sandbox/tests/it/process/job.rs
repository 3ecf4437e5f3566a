//! Background jobs: a log that can be read while it grows, and an end.

use std::time::{Duration, Instant};

use kode_core::id::JobId;
use kode_core::sandbox::{JobLog, ProcessEnd, ProcessError, Processes};
use kode_core::tool::Cancel;

use super::{Host, command, silent, within};

fn job(name: &str) -> JobId {
    JobId::new(name)
}

/// Reads on until the text is there.
async fn until(processes: &dyn Processes, job: &JobId, text: &str) -> JobLog {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(log) = processes.logs(job, 0, 1 << 20).await
            && String::from_utf8_lossy(&log.stdout).contains(text)
        {
            return log;
        }
        assert!(Instant::now() < give_up, "{text:?} never came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_is_read_while_it_runs_and_ends_when_nobody_wants_it() {
    let host = Host::new();
    let work = host.agent().await;
    let processes = work.processes().unwrap();
    let (name, line) = (job("shell_1_0"), command("echo ready; echo careful >&2; sleep 1000"));
    let run = processes.job(&name, &line, Cancel::default(), silent());
    let log = tokio::select! {
        end = run => panic!("it ended: {end:?}"),
        log = until(processes, &name, "ready\n") => log,
    };
    assert!(log.dropped == 0 && !log.more && log.next >= 6);
    let rest = processes.logs(&name, log.next, 1 << 20).await.unwrap();
    assert_eq!(rest.stdout, b"", "what was read is not read again");
}

#[tokio::test]
async fn a_jobs_end_and_all_its_output_are_there_when_it_has_ended() {
    let host = Host::new();
    let work = host.agent().await;
    let processes = work.processes().unwrap();
    let name = job("shell_1_0");
    let end = processes.job(&name, &command("seq 1 3; exit 4"), Cancel::default(), silent()).await;
    assert_eq!(end, Ok(ProcessEnd::Exited { code: 4 }));
    assert_eq!(processes.logs(&name, 0, 1 << 20).await.unwrap().stdout, b"1\n2\n3\n");
    let end = processes.job(&job("shell_1_1"), &within("sleep 1000", 200), Cancel::default(), silent()).await;
    assert_eq!(end, Ok(ProcessEnd::TimedOut));
}

#[tokio::test]
async fn g8_jobs_of_another_agent_have_no_log_here() {
    let host = Host::new();
    let (work, other) = (host.agent().await, host.open("b", &Default::default()).await);
    let name = job("shell_1_0");
    work.processes().unwrap().job(&name, &command("echo mine"), Cancel::default(), silent()).await.unwrap();
    let none = other.processes().unwrap().logs(&name, 0, 100).await;
    assert_eq!(none, Err(ProcessError::NoLog(name)));
}
