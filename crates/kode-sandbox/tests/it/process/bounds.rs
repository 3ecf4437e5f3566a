//! Time, memory, processes, disk, output, files: each has an end, and the command's end says which it was.

use std::time::Duration;

use kode_core::sandbox::{Limit, ProcessEnd};
use kode_core::template::SandboxSpec;

use super::{Host, command, output, run, within};

fn over(end: &ProcessEnd) -> Option<Limit> {
    match end {
        ProcessEnd::OverLimit { limit, .. } => Some(*limit),
        _ => None,
    }
}

#[tokio::test]
async fn g10_a_command_has_its_time_and_what_it_wrote_till_then_is_kept() {
    let host = Host::new();
    let work = host.agent().await;
    let ran = run(&*work, &within("echo begun; sleep 1000", 300)).await;
    assert_eq!(ran.end, ProcessEnd::TimedOut);
    assert_eq!(ran.stdout.text(), "begun\n");
    assert!(ran.took < Duration::from_secs(30));
}

#[tokio::test]
async fn g10_memory_has_an_end() {
    let host = Host::new();
    let spec = SandboxSpec { memory_mib: 64, ..SandboxSpec::default() };
    let work = host.open("a", &spec).await;
    // Many small processes together, so that no limit of one process is what stops them.
    let line = "for i in 1 2 3 4 5 6; do perl -e '$x = \"a\" x 30_000_000; sleep 60' & done; wait";
    let ran = run(&*work, &command(line)).await;
    assert_eq!(over(&ran.end), Some(Limit::Memory), "{:?} {}", ran.end, ran.stderr.text());
    let line = "perl -e '$x = \"a\" x 300_000_000; print \"had it\"'";
    let ran = run(&*work, &command(line)).await;
    assert_eq!(ran.stdout.text(), "", "one process alone does not get it either: {:?}", ran.end);
    assert_eq!(output(&*work, "echo fine").await, "fine\n");
}

#[tokio::test]
async fn g10_a_time_limit_before_the_command_has_begun_is_one() {
    let host = Host::new();
    let work = host.agent().await;
    assert_eq!(output(&*work, "echo fine").await, "fine\n");
    assert_eq!(run(&*work, &within("sleep 5", 0)).await.end, ProcessEnd::TimedOut);
}

#[tokio::test]
async fn g10_processes_have_an_end() {
    let host = Host::new();
    let spec = SandboxSpec { processes: 32, ..SandboxSpec::default() };
    let work = host.open("a", &spec).await;
    let line = "for i in $(seq 100); do sleep 60 & done 2>/dev/null; ls /proc | grep -c '^[0-9]'";
    let ran = run(&*work, &within(line, 20_000)).await;
    let most = ran.stdout.text().trim().parse::<u32>().unwrap_or_default();
    assert!(most <= 34, "{most} {:?} {}", ran.end, ran.stderr.text());
    let ran = run(&*work, &within(":(){ :|:& };:; wait", 1_500)).await;
    assert!(!matches!(ran.end, ProcessEnd::Failed { .. }), "a storm ends like anything else: {:?}", ran.end);
    assert_eq!(output(&*work, "echo fine").await, "fine\n");
}

#[tokio::test]
async fn g10_the_disk_has_an_end_and_can_be_cleaned_up() {
    let host = Host::new();
    let spec = SandboxSpec { disk_mib: 8, ..SandboxSpec::default() };
    let work = host.open("a", &spec).await;
    let line = "for i in $(seq 1000); do head -c 1048576 /dev/zero > f$i; sleep 0.01; done";
    let ran = run(&*work, &command(line)).await;
    assert_eq!(over(&ran.end), Some(Limit::Disk), "{:?} {}", ran.end, ran.stderr.text());
    assert_eq!(output(&*work, "sleep 0.5; rm f*; ls | wc -l").await.trim(), "0");
    let ran = run(&*work, &command("head -c 100000000 /dev/zero > one")).await;
    assert_ne!(ran.end, ProcessEnd::Exited { code: 0 }, "one file has no more than all");
}

#[tokio::test]
async fn g10_output_is_cut_in_the_middle_and_too_much_of_it_is_the_end() {
    let host = Host::new();
    let work = host.agent().await;
    let ran = run(&*work, &command("seq 1 200000; echo last")).await;
    assert_eq!(ran.end, ProcessEnd::Exited { code: 0 });
    let text = ran.stdout.text();
    assert!(
        text.starts_with("1\n2\n") && text.ends_with("\n200000\nlast\n") && text.contains("bytes left out")
    );
    assert!(text.len() < 330_000, "{}", text.len());
    let ran = run(&*work, &command("yes")).await;
    assert_eq!(over(&ran.end), Some(Limit::Output), "{:?}", ran.end);
    assert!(ran.stdout.dropped > 100 << 20);
}

#[tokio::test]
async fn g10_open_files_have_an_end() {
    let host = Host::new();
    let work = host.agent().await;
    let line = "perl -e 'for (1..5000) { open($f[$_], \"<\", \"/dev/null\") or do { print $_; exit } }'";
    let opened: u32 = output(&*work, line).await.parse().unwrap();
    assert!((900..1_024).contains(&opened), "{opened}");
}

#[tokio::test]
async fn g10_one_agent_has_so_many_commands_at_once() {
    let host = Host::new();
    let work = host.agent().await;
    let long = within("sleep 1000", 20_000);
    let processes = work.processes().unwrap();
    let mut running: Vec<_> =
        (0..16).map(|_| Box::pin(processes.run(&long, Default::default(), super::silent()))).collect();
    for run in &mut running {
        assert!(futures_lite(run).await.is_none(), "it is under way");
    }
    let refused = processes.run(&command("true"), Default::default(), super::silent()).await.unwrap_err();
    assert!(refused.to_string().contains("16 commands"), "{refused}");
    drop(running);
    assert_eq!(output(&*work, "echo fine").await, "fine\n");
}

/// Polls once.
async fn futures_lite<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = std::future::ready(()) => None,
    }
}
