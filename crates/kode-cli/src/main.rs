//! The `kode` command: reads flags, environment and configuration, composes a runtime, and runs one command.
//!
//! Rules about agents never belong here, and only `compose` names stores, providers and sandboxes.

mod access;
mod args;
mod commands;
mod compose;
mod config;
mod demo;
mod describe;
mod descriptors;
mod failure;
mod log;
mod membership;
mod operator;
mod out;
mod panics;
mod safe;
mod templates;

use std::process::ExitCode;

use clap::Parser;
use kode_core::call::Decision;

use crate::args::{Args, Command};
use crate::failure::Failure;

/// A turn is many small things made and let go, on all threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: under another name this program is the helper that holds a sandbox.
    compose::be_helper_if_called();
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Serve(serve) => commands::serve::run(serve),
        Command::Replay(replay) => commands::replay::run(replay),
        Command::Store(store) => commands::store::run(store),
        Command::Keys(keys) => commands::keys::run(keys),
        Command::Usage(usage) => commands::usage::run(&usage),
        Command::Openapi => commands::openapi::run(),
        Command::Doctor(doctor) => commands::doctor::run(&doctor),
        Command::Chat(chat) => commands::chat::run(&chat),
        Command::Agents(agents) => commands::agents::run(agents),
        Command::Events(events) => commands::events::run(&events),
        Command::Approve(decide) => commands::decide::run(&decide, Decision::Allow),
        Command::Deny(decide) => commands::decide::run(&decide, Decision::Deny),
    }
}
