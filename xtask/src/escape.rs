//! The escape battery: attempts to break out of the sandbox, made for real. It knows nothing of what they are.

use crate::context::Context;

/// What `escape` is asked for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Prints everything that was told, for programs.
    #[arg(long, conflicts_with = "write")]
    json: bool,
    /// Puts the matrix into docs/sandbox-matrix.md, for the review of a person.
    #[arg(long)]
    write: bool,
}

/// Builds both programs and runs the battery.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--package", "kode-escape", "--bins"];
    context.read_cargo(&build)?;
    let mut words = vec!["run", "--quiet", "--package", "kode-escape", "--bin", "kode-escape", "--"];
    words.extend(args.json.then_some("--json"));
    words.extend(args.write.then_some("--write"));
    let status = context.cargo(&words).status()?;
    anyhow::ensure!(status.success(), "the battery found what is told above");
    Ok(())
}
