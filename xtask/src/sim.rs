//! The simulation of several nodes, built as fast as it can be. It knows nothing of what is simulated.

use crate::context::Context;

/// What `sim` is asked for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first seed; alone, the only one.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds, one after the other.
    #[arg(long)]
    count: Option<u64>,
}

pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let count = args.count.unwrap_or(if args.seed.is_some() { 1 } else { 200 }).to_string();
    let seed = args.seed.unwrap_or(1).to_string();
    let words = ["run", "--quiet", "--release", "--package", "kode-sim", "--", &seed, &count];
    let status = context.cargo(&words).status()?;
    anyhow::ensure!(status.success(), "the simulation found what is told above; its seeds find it again");
    Ok(())
}
