//! Where a task runs: the workspace root, whether CI's rules hold, and how a child process is started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// What every task is handed.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Whether a missing tool is a failure instead of a skip.
    pub(crate) ci: bool,
}

impl Context {
    /// Takes the root from where cargo started this tool, and CI's rules from `CI=true`.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").context("xtask is started as `cargo xtask`")?;
        let root = Path::new(&own).parent().context("xtask lies beneath the workspace root")?;
        let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        Ok(Self { root: root.to_owned(), ci })
    }

    /// The same place under CI's rules.
    pub(crate) fn strict(&self) -> Self {
        Self { ci: true, ..self.clone() }
    }

    /// A program at the root without input, which is told of CI's rules as this tool was.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root).stdin(Stdio::null());
        if self.ci {
            // Nothing is built twice there, so incremental state would only cost time and disk.
            command.env("CI", "true").env("CARGO_INCREMENTAL", "0");
        }
        command
    }

    /// `cargo` with the same toolchain that built this tool.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        self.command(&cargo, args)
    }

    /// Runs `cargo` with its output shown; an error names the command.
    pub(crate) fn run_cargo(&self, args: &[&str]) -> anyhow::Result<()> {
        run(&mut self.cargo(args))
    }

    /// What `cargo` prints on stdout.
    pub(crate) fn read_cargo(&self, args: &[&str]) -> anyhow::Result<String> {
        read(&mut self.cargo(args))
    }
}

/// Shows the command, runs it with its output shown, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = shown(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("failed to start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs the command without a word and gives its stdout; its stderr is part of the error.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let line = shown(command);
    let output = command.output().with_context(|| format!("failed to start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed what is not UTF-8"))
}

/// Whether the command can be started and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command as a person would type it, by the program's plain name.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Context {
        Context { root: std::env::current_dir().unwrap(), ci: false }
    }

    #[test]
    fn a_failing_command_is_named_in_the_error() {
        let error = run(&mut here().command("false", &["--hard"])).unwrap_err().to_string();
        assert_eq!(error, "`false --hard` failed (exit status: 1)");
    }

    #[test]
    fn a_command_that_is_not_there_is_no_success() {
        assert!(!succeeds(&mut here().command("no-such-program", &[])));
        assert!(succeeds(&mut here().command("true", &[])));
    }

    #[test]
    fn children_are_told_of_strict_rules() {
        let ci =
            |context: &Context| read(&mut context.command("sh", &["-c", "echo $CARGO_INCREMENTAL"])).unwrap();
        assert_eq!(ci(&here().strict()), "0\n");
    }
}
