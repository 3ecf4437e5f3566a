//! The one command that proves the tree: what `.ci/run` calls, and what a person runs before a commit.

use crate::context::{Context, run as run_command};
use crate::nextest::Profile;
use crate::step::{self, Step};
use crate::{layers, licences, lint, needs, tidy};

/// What `test` and `ci` are asked for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only run the tests whose names hold one of these, and no other step.
    filters: Vec<String>,
    /// Leave out the release build, the longest step and the least likely to fail alone.
    #[arg(long)]
    fast: bool,
}

/// In order; what takes a second comes before what takes minutes.
const STEPS: &[Step] = &[
    Step { name: "format", act: lint::format },
    Step { name: "layers", act: layers::run },
    Step { name: "tidy", act: tidy::run },
    Step { name: "licences", act: licences::run },
    Step { name: "needs", act: find_needs },
    Step { name: "clippy", act: lint::clippy },
    Step { name: "tests", act: |context| run_tests(context, &[]) },
    Step {
        name: "doc tests",
        act: |context| context.run_cargo(&["test", "--quiet", "--doc", "--workspace"]),
    },
    Step { name: "docs", act: lint::docs },
];

const RELEASE: Step = Step {
    name: "release build",
    act: |context| context.run_cargo(&["build", "--release", "--package", "kode-cli", "--bin", "kode"]),
};

/// Runs the steps, then prints the counts of the tests as the last line.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let profile = Profile::of(context);
    profile.forget_report(context);
    let outcome = if args.filters.is_empty() {
        run_steps(context, args.fast)
    } else {
        run_tests(context, &args.filters)
    };
    // A run that never came to the tests, or that went without nextest, has no counts.
    if let Ok(counts) = profile.counts(context) {
        println!("\nrepeated:\n{}", profile.told_rounds(context));
        println!("{counts}");
    }
    outcome
}

fn run_steps(context: &Context, fast: bool) -> anyhow::Result<()> {
    let last = if fast { &[][..] } else { &[RELEASE][..] };
    step::run_all(context, STEPS.iter().chain(last))
}

/// What the tests look for on the machine, so that a lack is told before minutes of building.
pub(crate) fn find_needs(context: &Context) -> anyhow::Result<()> {
    for need in [
        &needs::NEXTEST,
        &needs::CURL,
        &needs::EXT4,
        &needs::PERL,
        &needs::BUBBLEWRAP,
        &needs::REDIS,
        &needs::POSTGRES,
        &needs::PGBOUNCER,
        &needs::NGINX,
        &needs::HAPROXY,
        &needs::NODE,
        &needs::NPM_ITSELF,
        &needs::CHROMIUM,
        &needs::NPM_CLIENTS,
        &needs::PYTHON,
        &needs::PYTHON_CLIENTS,
    ] {
        if need.ensure(context)? {
            println!("{}: found", need.name);
        }
    }
    Ok(())
}

fn run_tests(context: &Context, filters: &[String]) -> anyhow::Result<()> {
    if needs::NEXTEST.ensure(context)? {
        return run_command(&mut Profile::of(context).command(context, filters));
    }
    let mut plain = context.cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--"]);
    run_command(plain.args(filters))
}
