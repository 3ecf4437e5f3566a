//! The project's own tooling: one command that proves the tree, and the rules that the compiler cannot check.
//!
//! Rules are data in tables, so that adding one is adding a row. Nothing here is needed at run time, and no
//! crate of the workspace may depend on it.

#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod bench;
mod clients;
mod codegen;
mod context;
mod escape;
mod golden;
mod layers;
mod licences;
mod lint;
mod metadata;
mod mutants;
mod needs;
mod nextest;
mod report;
mod servers;
mod sim;
mod soak;
mod spdx;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::context::Context;

/// kode's tooling.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks everything that CI checks; with filters it only runs the tests whose names hold one of them.
    Test(test::Args),
    /// As `test`, where a missing tool is a failure and never a skip.
    Ci(test::Args),
    /// Checks formatting and clippy; changes nothing.
    Lint,
    /// Formats, lets clippy repair what it can, and lists the snapshots that wait for a review.
    Fix,
    /// Checks which crate may depend on what.
    Layers,
    /// Checks the source rules that the compiler does not know.
    Tidy,
    /// Checks licences, banned crates and where dependencies come from.
    Licences,
    /// Runs the tests with larger counts (`KODE_SOAK=1`), as often as asked.
    Soak(soak::Args),
    /// Lives through worlds of several nodes in which everything fails, each by its seed.
    Sim(sim::Args),
    /// Changes one thing of the machine at a time and counts the changes that no test notices.
    Mutants(mutants::Args),
    /// Measures what kode costs beside what the machine can do, and prints ratios.
    Bench(bench::Args),
    /// Checks the journals that must fold for ever; with `add NAME` keeps a new set first.
    Golden(golden::Args),
    /// Makes every attempt to break out of the sandbox, at every level, and prints the matrix.
    Escape(escape::Args),
    /// Writes the files that are made of the code: docs/openapi.json.
    Codegen,
    /// Checks the model emulator against the public Python clients, where they can be had.
    Clients,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(task: Task) -> anyhow::Result<()> {
    let context = Context::from_env()?;
    match task {
        Task::Test(args) => test::run(&context, &args),
        Task::Ci(args) => test::run(&context.strict(), &args),
        Task::Lint => step::run_all(&context, lint::STEPS),
        Task::Fix => lint::fix(&context),
        Task::Layers => layers::run(&context),
        Task::Tidy => tidy::run(&context),
        Task::Licences => licences::run(&context),
        Task::Soak(args) => soak::run(&context, &args),
        Task::Sim(args) => sim::run(&context, &args),
        Task::Mutants(args) => mutants::run(&context, &args),
        Task::Bench(args) => bench::run(&context, &args),
        Task::Golden(args) => golden::run(&context, &args),
        Task::Escape(args) => escape::run(&context, &args),
        Task::Codegen => codegen::run(&context),
        Task::Clients => clients::run(&context),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
