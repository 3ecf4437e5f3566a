//! Runs the benchmarks, built as users would build them.

use crate::context::Context;

pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    context.run_cargo(&["run", "--release", "--package", "kode-bench"])
}
