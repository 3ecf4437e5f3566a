//! The same tests with larger counts, for a machine that has time.

use crate::context::{Context, run as run_command};
use crate::nextest::{Counts, Profile};
use crate::{needs, test};

/// What `soak` is asked for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests whose names hold one of these.
    filters: Vec<String>,
    /// How often the whole run is made.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

/// Runs every round, also after a failed one, and prints what ran.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(needs::NEXTEST.ensure(context)?, "a soak needs the counts that only nextest reports");
    test::find_needs(context)?;
    let mut total = Counts { passed: 0, failed: 0 };
    for round in 1..=args.rounds {
        let counts = run_round(context, &args.filters)?;
        println!("round {round} of {}: {counts}", args.rounds);
        total.passed += counts.passed;
        total.failed += counts.failed;
    }
    println!("\n{total}");
    anyhow::ensure!(total.failed == 0, "the soak found failures; each is shown with its round above");
    Ok(())
}

fn run_round(context: &Context, filters: &[String]) -> anyhow::Result<Counts> {
    Profile::Soak.forget_report(context);
    let mut command = Profile::Soak.command(context, filters);
    let outcome = run_command(command.env("KODE_SOAK", "1"));
    // Without counts nothing ran, and the command's own error says why.
    println!("repeated:\n{}", Profile::Soak.told_rounds(context));
    Profile::Soak.counts(context).or_else(|missing| outcome.and(Err(missing)))
}
