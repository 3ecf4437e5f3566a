//! Runs the benchmarks, built as users would build them.

use std::path::PathBuf;

use crate::context::Context;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measures the workloads beside an executable that follows the contract in docs/performance.md.
    #[arg(long, value_name = "PATH")]
    peer: Option<PathBuf>,
    /// Only the workloads whose names hold one of these; all and the machine's own limits without any.
    filters: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.filters.is_empty() {
        context.run_cargo(&["run", "--release", "--package", "kode-bench"])?;
    }
    let peer = args.peer.as_ref().map(|path| path.display().to_string());
    let mut table = vec!["run", "--release", "--package", "kode-bench", "--", "table"];
    table.extend(peer.iter().flat_map(|peer| ["--peer", peer]));
    table.extend(args.filters.iter().map(String::as_str));
    context.run_cargo(&table)
}
