//! The log: lines on stderr, with what `RUST_LOG` asks for.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::process_env;

/// Logs, at `info` unless the environment says otherwise.
pub(crate) fn always(json: bool) {
    to_stderr(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")), json);
}

/// Logs only where the environment asks for it: a person's terminal is no place for a log.
pub(crate) fn if_asked(json: bool) {
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        to_stderr(filter, json);
    }
}

fn to_stderr(filter: EnvFilter, json: bool) {
    // A file or a journal is no place for colours.
    let colours = stderr().is_terminal() && process_env("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(colours);
    if json { lines.json().init() } else { lines.init() }
}
