//! Commands that are run to their end, and what is left of them.

use std::sync::Arc;
use std::time::Duration;

use kode_core::sandbox::{Command, ProcessEnd};
use kode_core::tool::Cancel;

use super::{Bench, Silent, command, open, output, processes, ran};

/// The processes of a fresh agent, or nothing to test.
macro_rules! shell {
    ($bench:expr, $work:ident, $processes:ident) => {
        let $work = open(&$bench, "a").await;
        let Some($processes) = processes(&*$work, module_path!()) else { return };
    };
}

/// An exit code is no signal, and the input is empty.
pub async fn a_command_has_an_end_and_two_streams(bench: impl Bench) {
    shell!(bench, work, processes);
    let three = ran(processes, "printf out; printf err >&2; exit 3").await;
    assert_eq!(three.end, ProcessEnd::Exited { code: 3 });
    assert_eq!((three.stdout.text().as_str(), three.stderr.text().as_str()), ("out", "err"));
    assert_eq!(ran(processes, "kill -9 $$").await.end, ProcessEnd::Signaled { signal: 9 });
    assert_eq!(output(processes, "cat; printf 'a\\377b'").await, "a\u{fffd}b", "the input is empty");
}

/// In both directions.
pub async fn files_of_tools_and_commands_are_the_same(bench: impl Bench) {
    shell!(bench, work, processes);
    work.write("a", b"tool").await.expect("it is written");
    assert_eq!(output(processes, "cat a; printf command > b").await, "tool");
    assert_eq!(work.read("b", 100).await.as_deref(), Ok(&b"command"[..]));
}

/// What runs the tests has an environment; none of it is passed on.
pub async fn g8_the_callers_environment_is_not_the_commands(bench: impl Bench) {
    shell!(bench, work, processes);
    // What runs tests has this set.
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")));
    let env = output(processes, "env").await;
    assert!(!env.lines().any(|line| line.starts_with("CARGO")), "{env}");
}

/// What it wrote until then is kept.
pub async fn g10_a_command_has_its_time(bench: impl Bench) {
    shell!(bench, work, processes);
    let long = Command { line: "echo begun; sleep 1000".into(), timeout: Duration::from_millis(500) };
    let ran = processes.run(&long, Cancel::default(), Arc::new(Silent)).await.expect("it starts");
    assert_eq!((ran.end, ran.stdout.text().as_str()), (ProcessEnd::TimedOut, "begun\n"));
}

/// A megabyte is; its beginning and its end are kept, and the rest is counted.
pub async fn g10_long_output_is_cut_in_its_middle(bench: impl Bench) {
    shell!(bench, work, processes);
    let line =
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i 0123456789012345678901234567890123456789; done";
    let ran = ran(processes, line).await;
    let (text, kept) = (ran.stdout.text(), ran.stdout.head.len() + ran.stdout.tail.len());
    assert!(text.starts_with("1 01") && text.ends_with("6789\n"), "beginning and end are kept");
    assert!(ran.stdout.dropped > 0 && kept < 1 << 20, "{kept} of a megabyte are kept");
}

/// Who waits for the hold to be released may be sure that nothing runs.
pub async fn g8_a_dropped_command_is_held_until_nothing_of_it_is_left(bench: impl Bench) {
    shell!(bench, work, processes);
    let (held, line) = (Cancel::default(), command("while :; do echo x >> grows; sleep 0.01; done"));
    let leash = held.leash();
    let run = processes.run(&line, held, Arc::new(Silent));
    tokio::select! {
        ended = run => panic!("it ends by itself: {ended:?}"),
        () = async { while work.stat("grows").await.is_err() { tokio::task::yield_now().await } } => {}
    }
    leash.released().await;
    let size = work.stat("grows").await.expect("it is there").size;
    output(processes, "sleep 0.1").await;
    assert_eq!(work.stat("grows").await.expect("it is there").size, size, "nobody writes any more");
}

/// Also what it put into the background.
pub async fn g8_what_a_command_starts_ends_with_it(bench: impl Bench) {
    shell!(bench, work, processes);
    output(processes, "(while :; do echo x >> grows; sleep 0.01; done) > /dev/null 2>&1 & sleep 0.1").await;
    let size = work.stat("grows").await.expect("it was started").size;
    output(processes, "sleep 0.1").await;
    assert_eq!(work.stat("grows").await.expect("it is there").size, size, "nobody writes any more");
}

/// Two of one agent see each other's files while they run.
pub async fn commands_run_side_by_side(bench: impl Bench) {
    shell!(bench, work, processes);
    // Each waits for the other, through a file.
    let meet = |mine: &str, other: &str| {
        format!("touch {mine}; while [ ! -e {other} ]; do sleep 0.01; done; printf met")
    };
    let (first, second) = (meet("one", "two"), meet("two", "one"));
    let met = tokio::join!(output(processes, &first), output(processes, &second));
    assert_eq!(met, ("met".to_owned(), "met".to_owned()));
}
