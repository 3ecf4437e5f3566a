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
    /// Talk with an agent at this terminal, or line by line from a pipe.
    Chat(Chat),
    /// List, show, export and remove agents.
    #[command(subcommand)]
    Agents(Agents),
    /// Print what an agent told, from a cursor on.
    Events(Events),
    /// Allow a call that waits for a person.
    Approve(Decide),
    /// Refuse a call that waits for a person.
    Deny(Decide),
    /// Look after a store.
    #[command(subcommand)]
    Store(Store),
    /// Make keys for those who call a server.
    #[command(subcommand)]
    Keys(Keys),
    /// Show what keys have spent today and yesterday.
    Usage(Usage),
    /// Print the OpenAPI document of the server.
    Openapi,
    /// Find out what the sandbox can enforce on this machine, and whether store and model can be reached.
    Doctor(Doctor),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave a layer out, to see what is reported then: hygiene, rlimits, cgroup, namespaces, own_uid, landlock,
    /// seccomp. May be said several times.
    #[arg(long, value_name = "LAYER")]
    pub(crate) without: Vec<String>,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Print a fresh key, once, and what the server's file of keys needs to know of it: no part of the key.
    New(NewKey),
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewKey {
    /// Who holds it, as events and logs will say.
    pub(crate) name: String,
    /// What it reaches: this agent and those below it, by whole `:` segments; * is all. May be said several times.
    #[arg(long = "prefix", value_name = "PREFIX", required = true)]
    pub(crate) prefixes: Vec<String>,
    /// What it may do: all but admin, unless some are named. May be said several times.
    #[arg(long = "right", value_name = "RIGHT", value_parser = ["read", "write", "approve", "admin"])]
    pub(crate) rights: Vec<String>,
    /// Print one JSON object, the key in it.
    #[arg(long)]
    pub(crate) json: bool,
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
    /// The store, such as fs:./.kode or redis://127.0.0.1:6379.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The parent of every agent's work directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Chat {
    /// The agent's id, made with the first message where there is none; user:local if absent.
    pub(crate) agent: Option<String>,
    /// The template of a new agent.
    #[arg(long, value_name = "ID")]
    pub(crate) template: Option<String>,
    /// Answer with a built-in scripted model: no key, no network.
    #[arg(long)]
    pub(crate) demo: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Where the agents are: in a store, or behind a running server.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Target {
    /// Ask this running server instead of the store, such as http://127.0.0.1:3000. Its key, if it wants one,
    /// is read from KODE_API_KEY, or from the file that KODE_API_KEY_FILE names.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "store"])]
    pub(crate) server: Option<String>,
    /// The configuration file; ./kode.toml is read if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The store, such as fs:./.kode or redis://127.0.0.1:6379.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// List agents.
    Ls(List),
    /// Show one agent: its state, its todos, and the calls that wait for a person with their whole input.
    Show(One),
    /// Print everything of one agent, one JSON object a line: info, status, todos, messages, events.
    Export(One),
    /// Make a new agent out of one, as it stands or as it stood.
    Fork(Fork),
    /// Remove an agent for good.
    Rm(Remove),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only agents under this prefix, by whole `:` segments.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub(crate) prefix: String,
    /// Draw the table again every so many seconds, those at work first, with tokens and cost.
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3_600), conflicts_with = "json")]
    pub(crate) watch: Option<u64>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Usage {
    /// The running server, such as http://127.0.0.1:3000. Its key is read from KODE_API_KEY, or from the file that
    /// KODE_API_KEY_FILE names: that of an administrator shows all keys.
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The agent's id.
    pub(crate) agent: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Fork {
    /// The agent's id.
    pub(crate) agent: String,
    /// Where it stood: a snapshot's id, or the seq of an entry at which no call was open. Without it, now.
    #[arg(long, value_name = "SNAPSHOT-or-SEQ")]
    pub(crate) at: Option<String>,
    /// The new agent's id; generated if absent.
    #[arg(long = "as", value_name = "ID")]
    pub(crate) new: Option<String>,
    /// What it finds in its work directory: a copy of the files as they are now, nothing, or the same files.
    #[arg(long, value_name = "MODE", value_parser = ["copy", "empty", "shared"], default_value = "copy")]
    pub(crate) workspace: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// The agent's id.
    pub(crate) agent: String,
    /// Remove the files of its work directory too, which is in the configured workspace or in DIR.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub(crate) workspace: Option<Option<PathBuf>>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// The agent's id.
    pub(crate) agent: String,
    /// Only events after this cursor; without it, from the oldest kept.
    #[arg(long, value_name = "CURSOR", default_value_t = 0)]
    pub(crate) since: u64,
    /// Go on with what the agent tells, until it is deleted.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only these channels: a comma list of progress, control, monitor.
    #[arg(long, value_name = "LIST")]
    pub(crate) channels: Option<String>,
    /// Print one envelope a line, as it is on the wire.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Decide {
    /// The agent's id.
    pub(crate) agent: String,
    /// The call's id; `kode agents show AGENT` lists those that wait.
    pub(crate) call: String,
    /// A word to the model, which reads it when the call is refused.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Only if the call has the input of this hash, as `kode agents show` and the API show it. Without it, the input
    /// is shown before the decision, which then holds for that input only.
    #[arg(long, value_name = "HASH")]
    pub(crate) input_hash: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
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
    /// Copy agents from one store into another, of whatever kinds, and compare them. No server may use the source.
    Copy(Copy),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    /// The store to copy from, such as fs:./.kode; env:NAME takes the URL from the environment, as is best for one
    /// with a password.
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// The store to copy to, such as postgres://USER@HOST/DATABASE or env:NAME. It is made if need be.
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    /// Only agents under this prefix, by whole `:` segments.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub(crate) prefix: String,
    /// Say what would be copied, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The directory that the SDK's file store wrote: it has DIR/AGENT/meta.json. It is only read.
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
