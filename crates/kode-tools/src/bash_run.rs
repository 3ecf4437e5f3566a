//! `bash_run`: a command line for the shell, to its end or in the background.

use std::time::Duration;

use async_trait::async_trait;
use kode_core::sandbox::{Captured, Command, ProcessEnd, Ran};
use kode_core::tool::{ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{Emits, of_job, of_process};

/// By how much a command's time ends before its call's, so that its output so far is told: a tenth, at most this.
const MARGIN_MAX: Duration = Duration::from_secs(2);
/// Bytes of the output's end that are told with a limit that was reached.
const LAST_WORDS: usize = 1_024;

/// Runs command lines.
#[derive(Debug, Clone, Copy)]
pub struct BashRun;

/// What to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The command line, for sh in the work directory.
    cmd: String,
    /// Milliseconds that it may take; then it is killed, and what it wrote until then is returned. The default is the
    /// most that there may be. Not for the background.
    #[serde(default)]
    #[schemars(range(min = 1), with = "u64")]
    timeout_ms: Option<u64>,
    /// Whether it goes on while you do: its shell_id is returned at once, for bash_logs and bash_kill.
    #[serde(default)]
    background: bool,
}

#[async_trait]
impl TypedTool for BashRun {
    type Args = Args;
    const NAME: &'static str = "bash_run";
    const DESCRIPTION: &'static str = "Run a command line in a shell in the work directory. Returns its exit code, \
        stdout and stderr; a code other than 0 is a result like any other, and timedOut says that it was killed at \
        its time limit. Everything that it started is gone when it ends. Each command begins in the work directory \
        with a fresh shell. With background it goes on, also after your answer: use it for servers and long builds, \
        read what it writes with bash_logs, and end it with bash_kill.";
    const TRAITS: ToolTraits = ToolTraits { processes: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        check(&args.cmd)?;
        let processes = cx.workspace.processes().map_err(of_process)?;
        if args.background {
            let started = cx.host.start_job(&cx.call, args.cmd).await;
            return started.map(|job| json!({ "shell_id": job })).map_err(of_job);
        }
        let command = Command { line: args.cmd, timeout: timeout(cx.time_limit, args.timeout_ms) };
        let ran = processes.run(&command, cx.cancel.clone(), Emits::of(cx)).await;
        told(ran.map_err(of_process)?)
    }
}

fn check(cmd: &str) -> Result<(), ToolError> {
    let wrong = if cmd.trim().is_empty() {
        "cmd is blank"
    } else if cmd.contains('\0') {
        "cmd has a NUL in it"
    } else {
        return Ok(());
    };
    Err(ToolError::new("invalid_arguments", wrong).hint("give a command line for sh"))
}

/// What was asked for, so that the command ends before the runtime gives the call up.
fn timeout(limit: Duration, asked_ms: Option<u64>) -> Duration {
    let most = limit.saturating_sub(MARGIN_MAX.min(limit / 10)).max(Duration::from_millis(1));
    asked_ms.map_or(most, |ms| Duration::from_millis(ms.max(1)).min(most))
}

fn told(ran: Ran) -> Result<Value, ToolError> {
    let (stdout, stderr) = (ran.stdout.text(), ran.stderr.text());
    let mut result = json!({
        "code": null,
        "stdout": stdout,
        "stderr": stderr,
        "durationMs": u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX),
        "truncated": ran.stdout.dropped + ran.stderr.dropped > 0,
    });
    match ran.end {
        ProcessEnd::Exited { code } => result["code"] = code.into(),
        ProcessEnd::Signaled { signal } => {
            // As a shell says it.
            result["code"] = (128 + signal).into();
            result["signal"] = signal.into();
        }
        ProcessEnd::TimedOut => result["timedOut"] = true.into(),
        ProcessEnd::OverLimit { message, .. } => {
            let message = format!("{message}{}", last_words(&ran.stdout, &ran.stderr));
            return Err(ToolError::new("over_limit", message)
                .hint("everything that it started was killed; ask for less at once"));
        }
        ProcessEnd::Failed { message } => {
            return Err(ToolError::new("process_failed", message)
                .hint("it may have taken effect in part; check before you run it again"));
        }
    }
    Ok(result)
}

/// The end of what it wrote, of its standard error where that has something in it.
fn last_words(stdout: &Captured, stderr: &Captured) -> String {
    let (stdout, stderr) = (stdout.text(), stderr.text());
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let text = text.trim_end();
    let from = text.ceil_char_boundary(text.len().saturating_sub(LAST_WORDS));
    if text.is_empty() { String::new() } else { format!("; the last that it wrote:\n{}", &text[from..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_before_its_call_does() {
        let secs = Duration::from_secs;
        assert_eq!(timeout(secs(120), None), secs(118));
        assert_eq!(timeout(secs(120), Some(999_999)), secs(118));
        assert_eq!(timeout(secs(120), Some(5_000)), secs(5));
        assert_eq!(timeout(secs(1), None), Duration::from_millis(900));
        assert_eq!(timeout(Duration::ZERO, Some(0)), Duration::from_millis(1));
    }
}
