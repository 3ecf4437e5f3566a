//! The conformance suite of the sandbox port: what every sandbox must do, a remote one or a micro virtual machine too.
//!
//! A sandbox's whole test file is a [`Bench`] and one line, `kode_testkit::sandbox_suite!(MyBench::new());`, which
//! makes one test of each case. The cases know nothing of any sandbox; those about processes need a shell, `sleep`,
//! `cat` and `printf` in it, and are left out where the sandbox says that it runs none.
//!
//! What a sandbox enforces against an attacker is its own to prove: that is not to be seen through the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{Command, ProcessEnd, Processes, Ran, SandboxFactory, Witness, Workspace};
use kode_core::template::SandboxSpec;
use kode_core::tool::Cancel;
use serde_json::Value;

use crate::rounds::skipped;

pub mod commands;
pub mod files;
pub mod jobs;

/// Where a case gets its sandbox: each bench is one, without any agent at first.
pub trait Bench: Send + Sync {
    /// The sandbox under test; each call gives the same one.
    fn factory(&self) -> Arc<dyn SandboxFactory>;

    /// What agents ask for.
    fn spec(&self) -> SandboxSpec {
        SandboxSpec::default()
    }
}

/// Runs one case. For [`crate::sandbox_suite!`].
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be built").block_on(case);
}

/// A witness who tells nobody.
pub(crate) struct Silent;

#[async_trait]
impl Witness for Silent {
    async fn notice(&self, _event_type: &str, _data: Value) {}
}

/// The agent's work directory.
pub(crate) async fn open(bench: &impl Bench, agent: &str) -> Arc<dyn Workspace> {
    bench.factory().open(&id(agent), &bench.spec()).await.expect("a work directory opens")
}

pub(crate) fn id(agent: &str) -> AgentId {
    AgentId::new(agent).expect("the suite's agents have names")
}

/// The agent's processes, unless the sandbox runs none.
pub(crate) fn processes<'w>(work: &'w dyn Workspace, case: &str) -> Option<&'w dyn Processes> {
    match work.processes() {
        Ok(processes) => Some(processes),
        Err(refused) => {
            skipped(case, &refused.to_string());
            None
        }
    }
}

pub(crate) fn command(line: &str) -> Command {
    Command { line: line.to_owned(), timeout: Duration::from_secs(60) }
}

pub(crate) async fn ran(processes: &dyn Processes, line: &str) -> Ran {
    let ran = processes.run(&command(line), Cancel::default(), Arc::new(Silent)).await;
    ran.expect("a command starts")
}

/// What a command that ends well wrote.
pub(crate) async fn output(processes: &dyn Processes, line: &str) -> String {
    let ran = ran(processes, line).await;
    assert_eq!(ran.end, ProcessEnd::Exited { code: 0 }, "{line}: {}", ran.stderr.text());
    ran.stdout.text()
}

/// Makes one test of each case of the suite; `$bench` is an expression, of names in scope, that gives a fresh
/// [`sandbox_suite::Bench`] each time.
///
/// [`sandbox_suite::Bench`]: crate::sandbox_suite::Bench
#[macro_export]
macro_rules! sandbox_suite {
    ($bench:expr) => {
        $crate::sandbox_suite!(@room files, $bench, [
            what_was_written_is_read_with_the_directories_that_it_needs,
            g8_no_path_leads_out,
            agents_have_directories_of_their_own,
            what_something_else_changed_is_not_overwritten,
            walks_are_sorted_and_bounded,
            what_is_no_file_or_too_large_is_said_to_be_so,
            files_stay_until_they_are_removed,
            a_report_says_which_level_is_in_force,
        ]);
        $crate::sandbox_suite!(@room commands, $bench, [
            a_command_has_an_end_and_two_streams,
            files_of_tools_and_commands_are_the_same,
            g8_the_callers_environment_is_not_the_commands,
            g10_a_command_has_its_time,
            g10_long_output_is_cut_in_its_middle,
            g8_a_dropped_command_is_held_until_nothing_of_it_is_left,
            g8_what_a_command_starts_ends_with_it,
            commands_run_side_by_side,
        ]);
        $crate::sandbox_suite!(@room jobs, $bench, [
            a_job_is_read_on_from_place_to_place,
            a_jobs_output_is_there_after_its_end,
            g8_a_dropped_job_is_held_until_nothing_of_it_is_left,
            g8_jobs_are_their_agents_own,
        ]);
    };
    (@room $room:ident, $bench:expr, [$($case:ident),* $(,)?]) => {
        mod $room {
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::sandbox_suite::run($crate::sandbox_suite::$room::$case($bench));
                }
            )*
        }
    };
}
