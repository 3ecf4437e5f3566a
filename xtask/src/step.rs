//! Steps of a task: run in order, timed, stopped at the first failure, summed up in a table.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::context::Context;

/// One thing to do, by name.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) act: fn(&Context) -> anyhow::Result<()>,
}

/// How a step ended, and after how long.
struct Ended {
    name: &'static str,
    result: &'static str,
    took: Duration,
}

/// Runs the steps, prints the table of what ran, and fails with the first failure.
pub(crate) fn run_all<'a>(
    context: &Context,
    steps: impl IntoIterator<Item = &'a Step>,
) -> anyhow::Result<()> {
    let mut ended = Vec::new();
    let outcome = steps.into_iter().try_for_each(|step| run_one(context, step, &mut ended));
    println!("\n{}", table(&ended));
    outcome
}

fn run_one(context: &Context, step: &Step, ended: &mut Vec<Ended>) -> anyhow::Result<()> {
    println!("\n== {}", step.name);
    let start = Instant::now();
    let outcome = (step.act)(context);
    let result = if outcome.is_ok() { "ok" } else { "FAILED" };
    ended.push(Ended { name: step.name, result, took: start.elapsed() });
    outcome.with_context(|| format!("step '{}' failed", step.name))
}

fn table(ended: &[Ended]) -> String {
    let width = ended.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Ended { name, result, took } in ended {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {:>7.1} s  {result}", took.as_secs_f64());
    }
    let total: Duration = ended.iter().map(|row| row.took).sum();
    let _ = write!(text, "{:width$}  {:>7.1} s", "", total.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context { root: ".".into(), ci: false }
    }

    #[test]
    fn the_first_failure_stops_the_rest_and_is_named() {
        let steps = [
            Step { name: "good", act: |_| Ok(()) },
            Step { name: "bad", act: |_| anyhow::bail!("the disk is full") },
            Step { name: "never", act: |_| panic!("a step ran after a failure") },
        ];
        let error = run_all(&context(), &steps).unwrap_err();
        assert_eq!(format!("{error:#}"), "step 'bad' failed: the disk is full");
    }

    #[test]
    fn the_table_lines_up_and_sums() {
        let ended = [
            Ended { name: "tidy", result: "ok", took: Duration::from_millis(1_500) },
            Ended { name: "tests run", result: "FAILED", took: Duration::from_secs(61) },
        ];
        let expected = "tidy           1.5 s  ok\ntests run     61.0 s  FAILED\n              62.5 s";
        assert_eq!(table(&ended), expected);
    }
}
