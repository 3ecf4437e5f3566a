//! Counters and histograms with labels, and their text. A lock and a look-up each: nothing here is counted as often
//! as words are streamed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// Sets of labels that one name is told apart by. What comes beyond counts as [`OTHER`]: a model may make names up.
const SETS_MAX: usize = 500;
/// Every label of what comes beyond.
const OTHER: &str = "other";

/// What is common to all that is counted under one name.
struct Family<T> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    values: Mutex<BTreeMap<Vec<String>, T>>,
}

impl<T: Default> Family<T> {
    fn change(&self, labels: &[&str], change: impl FnOnce(&mut T)) {
        debug_assert_eq!(labels.len(), self.labels.len(), "{} has other labels", self.name);
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let key: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let is_room = values.len() < SETS_MAX || values.contains_key(&key);
        let key = if is_room { key } else { vec![OTHER.to_owned(); labels.len()] };
        change(values.entry(key).or_default());
    }

    fn write(&self, kind: &str, to: &mut String, each: impl Fn(&mut String, &str, &T)) {
        head(self.name, self.help, kind, to);
        for (labels, value) in self.values.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let pairs: Vec<String> =
                self.labels.iter().zip(labels).map(|(name, value)| pair(name, value)).collect();
            each(to, &pairs.join(","), value);
        }
    }
}

/// What only rises.
pub(super) struct Counter(Family<u64>);

impl Counter {
    pub(super) fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        let counter = Self(Family { name, help, labels, values: Mutex::default() });
        if labels.is_empty() {
            counter.add(&[], 0);
        }
        counter
    }

    pub(super) fn add(&self, labels: &[&str], n: u64) {
        self.0.change(labels, |value| *value = value.saturating_add(n));
    }

    pub(super) fn write(&self, to: &mut String) {
        let name = self.0.name;
        self.0.write("counter", to, |to, labels, value| line(name, labels, *value, to));
    }
}

/// How often something took how much.
pub(super) struct Histogram {
    family: Family<Spread>,
    bounds: &'static [f64],
}

#[derive(Default)]
struct Spread {
    /// Up to each bound, not counting those below the one before.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    /// The bounds rise.
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        Self { family: Family { name, help, labels, values: Mutex::default() }, bounds }
    }

    pub(super) fn saw(&self, labels: &[&str], value: f64) {
        let bounds = self.bounds;
        self.family.change(labels, |spread| {
            spread.counts.resize(bounds.len(), 0);
            if let Some(count) =
                bounds.iter().position(|bound| value <= *bound).and_then(|at| spread.counts.get_mut(at))
            {
                *count += 1;
            }
            spread.count += 1;
            spread.sum += value;
        });
    }

    pub(super) fn write(&self, to: &mut String) {
        let (name, bounds) = (self.family.name, self.bounds);
        self.family.write("histogram", to, |to, labels, spread| {
            let mut below = 0;
            let joint = if labels.is_empty() { "" } else { "," };
            for (bound, count) in bounds.iter().zip(&spread.counts) {
                below += count;
                line(&format!("{name}_bucket"), &format!("{labels}{joint}le=\"{bound}\""), below, to);
            }
            line(&format!("{name}_bucket"), &format!("{labels}{joint}le=\"+Inf\""), spread.count, to);
            line(&format!("{name}_sum"), labels, spread.sum, to);
            line(&format!("{name}_count"), labels, spread.count, to);
        });
    }
}

/// What goes up and down, or is counted elsewhere: looked at when it is asked for.
pub(super) fn now(name: &str, help: &str, kind: &str, value: impl std::fmt::Display, to: &mut String) {
    head(name, help, kind, to);
    line(name, "", value, to);
}

fn head(name: &str, help: &str, kind: &str, to: &mut String) {
    write!(to, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect("a string takes everything");
}

fn line(name: &str, labels: &str, value: impl std::fmt::Display, to: &mut String) {
    let written = match labels {
        "" => writeln!(to, "{name} {value}"),
        labels => writeln!(to, "{name}{{{labels}}} {value}"),
    };
    written.expect("a string takes everything");
}

fn pair(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_written_as_prometheus_reads_it() {
        let counter = Counter::new("calls_total", "Calls.", &["tool"]);
        counter.add(&["a\"b\\\n"], 2);
        let histogram = Histogram::new("seconds", "Time.", &[], &[0.5, 1.0]);
        [0.1, 0.5, 0.7, 9.0].into_iter().for_each(|value| histogram.saw(&[], value));
        let mut text = String::new();
        counter.write(&mut text);
        histogram.write(&mut text);
        let expected = "# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{tool=\"a\\\"b\\\\\\n\"} 2\n\
                        # HELP seconds Time.\n# TYPE seconds histogram\nseconds_bucket{le=\"0.5\"} 2\n\
                        seconds_bucket{le=\"1\"} 3\nseconds_bucket{le=\"+Inf\"} 4\nseconds_sum 10.3\nseconds_count 4\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_that_are_made_up_do_not_fill_the_memory() {
        let counter = Counter::new("calls_total", "Calls.", &["tool"]);
        (0..SETS_MAX * 3).for_each(|nth| counter.add(&[&format!("tool{nth}")], 1));
        let mut text = String::new();
        counter.write(&mut text);
        assert_eq!(text.lines().count(), SETS_MAX + 3);
        assert!(text.contains(&format!("calls_total{{tool=\"other\"}} {}\n", SETS_MAX * 2)));
    }
}
