//! Running the tests with nextest, and the counts of such a run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::context::Context;

/// A profile of `.config/nextest.toml`; each writes its report to a place of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    Default,
    Ci,
    Soak,
}

impl Profile {
    /// The profile of a plain run.
    pub(crate) fn of(context: &Context) -> Self {
        if context.ci { Self::Ci } else { Self::Default }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Ci => "ci",
            Self::Soak => "soak",
        }
    }

    fn report(self, context: &Context) -> PathBuf {
        context.root.join("target/nextest").join(self.name()).join("junit.xml")
    }

    /// Drops the report of an earlier run, so that none is taken for this one's.
    pub(crate) fn forget_report(self, context: &Context) {
        // One that is not there is as good as dropped.
        let _ = std::fs::remove_file(self.report(context));
        let _ = std::fs::remove_file(self.rounds(context));
    }

    /// The run of every test whose name holds one of the filters; of all tests without a filter.
    pub(crate) fn command(self, context: &Context, filters: &[String]) -> Command {
        let mut run = context.cargo(&["nextest", "run", "--workspace", "--profile", self.name()]);
        run.args(filters).env("KODE_ROUNDS", self.rounds(context));
        run
    }

    /// Where the tests of a run note how often they repeated themselves.
    fn rounds(self, context: &Context) -> PathBuf {
        self.report(context).with_file_name("rounds.txt")
    }

    /// What the tests of the last run noted, a line each.
    pub(crate) fn told_rounds(self, context: &Context) -> String {
        let noted = std::fs::read_to_string(self.rounds(context)).unwrap_or_default();
        let lines: BTreeSet<&str> = noted.lines().collect();
        lines.into_iter().map(|line| format!("{line}\n")).collect()
    }

    /// The counts of the last run.
    pub(crate) fn counts(self, context: &Context) -> anyhow::Result<Counts> {
        let text = std::fs::read_to_string(self.report(context)).context("nextest wrote no report")?;
        Counts::parse(&text).context("nextest's report has no counts")
    }
}

/// How many tests passed, and how many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// Takes the counts from the outermost element of a JUnit report.
    fn parse(xml: &str) -> Option<Self> {
        let start = xml.find("<testsuites ")?;
        let tag = xml[start..].split('>').next()?;
        let failed = attribute(tag, "failures")? + attribute(tag, "errors")?;
        Some(Self { passed: attribute(tag, "tests")?.checked_sub(failed)?, failed })
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn attribute(tag: &str, name: &str) -> Option<u64> {
    let key = format!(" {name}=\"");
    let value = &tag[tag.find(&key)? + key.len()..];
    value.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_come_from_the_outermost_element() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="nextest-run" tests="23" failures="2" errors="1" uuid="a" time="0.1">
                <testsuite name="a" tests="5" disabled="0" errors="0" failures="0">"#;
        let counts = Counts::parse(xml).unwrap();
        assert_eq!(counts, Counts { passed: 20, failed: 3 });
        assert_eq!(counts.to_string(), "20 passed, 3 failed");
    }

    #[test]
    fn a_report_without_counts_is_no_report() {
        assert_eq!(Counts::parse("<testsuites name=\"x\">"), None);
        assert_eq!(Counts::parse(""), None);
    }
}
