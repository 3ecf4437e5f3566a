//! Journals that must fold for ever: checks those that are kept, and adds a new set when asked. Nothing is ever
//! written over.

use crate::context::Context;

/// What `golden` is asked for.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Writes a new set of journals, as the code of today writes them, for the review of a person.
    Add {
        /// The new directory's name below `fixtures/journals`, such as a version.
        name: String,
    },
}

/// Checks every set, the new one too.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if let Some(Action::Add { name }) = &args.action {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        anyhow::ensure!(
            plain && !name.is_empty() && !name.starts_with('.'),
            "{name:?} is no name of a directory"
        );
        let dir = format!("fixtures/journals/{name}");
        context.run_cargo(&[
            "run",
            "--quiet",
            "--package",
            "kode-store-fs",
            "--example",
            "golden",
            "--",
            &dir,
        ])?;
        println!("{dir} is new: look at it, then commit it");
    }
    context.run_cargo(&["test", "--package", "kode-store-fs", "--test", "it", "golden::"])
}
