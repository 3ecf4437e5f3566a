//! The command line's grammar.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A runtime for many users' agents.
#[derive(Debug, Parser)]
#[command(name = "kode", version, about, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve agents over HTTP.
    Serve(Serve),
    /// Fold a journal and print the state, the effects it wants and the prompt that the model would see.
    Replay(Replay),
    /// Look after a store.
    #[command(subcommand)]
    Store(Store),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Only this agent.
    #[arg(value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Mend {
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) what: Check,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Serve {
    /// Answer with a built-in scripted model: no key, no network.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Where to listen, such as 127.0.0.1:3000.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Listen on an address that others can reach although nobody is asked who they are.
    #[arg(long)]
    pub(crate) insecure: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Places {
    /// The configuration file; ./kode.toml is read if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The store, such as fs:./.kode.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The parent of every agent's work directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// An agent's id, or the path of its journal directory or of a file in it.
    #[arg(value_name = "FILE-or-AGENT")]
    pub(crate) what: String,
    /// Fold only up to this entry.
    #[arg(long, value_name = "SEQ")]
    pub(crate) at: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Verify every journal, line by line, and whether it folds. Writes nothing; works beside a running server.
    Check(Check),
    /// End damaged journals behind their last good entry. The damaged files are kept in a quarantine.
    Repair(Mend),
    /// Bring journals to the format of this version.
    Migrate(Mend),
    /// Take over the agents that the TypeScript SDK kept in a directory.
    Import(Import),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The directory that the SDK's file store wrote: it has DIR/<agentId>/meta.json. It is only read.
    pub(crate) dir: PathBuf,
    /// Say what would be done, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The template that agents get: OLD=NEW for those of one template, NEW for all. The first that fits counts.
    #[arg(long = "template", value_name = "OLD=NEW")]
    pub(crate) templates: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}
