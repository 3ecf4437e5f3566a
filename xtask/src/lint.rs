//! Formatting and clippy: `lint` checks and never writes, `fix` writes.

use std::path::{Path, PathBuf};

use crate::context::{Context, run};
use crate::step::{Step, run_all};

/// What `lint` checks.
pub(crate) const STEPS: &[Step] =
    &[Step { name: "format", act: format }, Step { name: "clippy", act: clippy }];

/// Fails when a file is not formatted.
pub(crate) fn format(context: &Context) -> anyhow::Result<()> {
    context.run_cargo(&["fmt", "--all", "--check"])
}

/// Fails on a warning in any target.
pub(crate) fn clippy(context: &Context) -> anyhow::Result<()> {
    context.run_cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// Fails on a warning in the documentation.
pub(crate) fn docs(context: &Context) -> anyhow::Result<()> {
    let mut doc = context.cargo(&["doc", "--no-deps", "--workspace"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Formats and repairs. Snapshots are only listed: accepting one unseen would make the test worthless.
pub(crate) fn fix(context: &Context) -> anyhow::Result<()> {
    run_all(
        context,
        &[
            Step { name: "clippy --fix", act: clippy_fix },
            Step { name: "format", act: |context| context.run_cargo(&["fmt", "--all"]) },
            Step { name: "pending snapshots", act: list_pending },
        ],
    )
}

fn clippy_fix(context: &Context) -> anyhow::Result<()> {
    context.run_cargo(&["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"])
}

fn list_pending(context: &Context) -> anyhow::Result<()> {
    let mut pending = Vec::new();
    collect_pending(&context.root.join("crates"), &mut pending)?;
    for path in &pending {
        println!("{}", path.strip_prefix(&context.root).unwrap_or(path).display());
    }
    println!("{} snapshots wait for a review; look, then rename away `.new`", pending.len());
    Ok(())
}

fn collect_pending(dir: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_pending(&path, into)?;
        } else if path.to_string_lossy().ends_with(".snap.new") {
            into.push(path);
        }
    }
    Ok(())
}
