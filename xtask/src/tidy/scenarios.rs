//! Every behaviour of `docs/scenarios.md` is pinned by tests that exist, or said to belong to a later part.
//!
//! The page has a row for each number. The names in backticks of its last column are tests; at least one of them
//! says the number in its own comment or in that of its file: `Scenario 18.`, `Scenarios 22, 26 and 27.`

use std::collections::BTreeMap;

use crate::report::Finding;

use super::lexer::Lexed;
use super::tree::Tree;

const PAGE: &str = "docs/scenarios.md";
const RULE: &str = "scenario";
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=52;
/// What the last column may say instead of tests.
const LATER: [&str; 3] = ["later", "part 3", "part 4"];

/// Checks the page, once there is one.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.read(PAGE) else { return Vec::new() };
    let rows: BTreeMap<u32, (usize, &str)> =
        page.lines().zip(1..).filter_map(|(text, line)| Some((number(text)?, (line, text)))).collect();
    let sources: Vec<Source<'_>> = tree.rust_sources().map(|(path, text)| Source::new(path, text)).collect();
    NUMBERS.flat_map(|number| check_row(number, rows.get(&number), &sources)).collect()
}

fn number(row: &str) -> Option<u32> {
    row.strip_prefix('|')?.split('|').next()?.trim().parse().ok()
}

fn check_row(number: u32, row: Option<&(usize, &str)>, sources: &[Source<'_>]) -> Vec<Finding> {
    let Some((line, text)) = row else {
        return vec![Finding::new(PAGE, 0, RULE, format!("has no row for scenario {number}"))];
    };
    let told = text.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
    if LATER.contains(&told) {
        return Vec::new();
    }
    let tests: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
    let missing = |test: &&&str| !sources.iter().any(|source| source.has(test));
    let message = |test: &&str| {
        format!(
            "scenario {number} names the test `{test}`, which no source has: write it, or correct the name"
        )
    };
    let mut findings: Vec<_> =
        tests.iter().filter(missing).map(|test| Finding::new(PAGE, *line, RULE, message(test))).collect();
    let named = tests.iter().any(|test| sources.iter().any(|source| source.says(test, number)));
    if findings.is_empty() && !named {
        let message = format!(
            "no test of scenario {number} says the number: write `Scenario {number}.` in the comment of one"
        );
        findings.push(Finding::new(PAGE, *line, RULE, message));
    }
    findings
}

/// One file: its functions, and its text.
struct Source<'a> {
    functions: Vec<&'a str>,
    text: &'a str,
}

impl<'a> Source<'a> {
    fn new(path: &str, text: &'a str) -> Self {
        Self { functions: Lexed::new(path, text).functions().collect(), text }
    }

    fn has(&self, test: &str) -> bool {
        self.functions.contains(&test)
    }

    /// Whether the test's comment, or the file's, says the number.
    fn says(&self, test: &str, number: u32) -> bool {
        let header = || self.text.lines().take_while(|line| line.starts_with("//!"));
        self.has(test) && (says(header(), number) || says(self.comment(test), number))
    }

    /// The comment before a function, its attributes included.
    fn comment(&self, test: &str) -> impl Iterator<Item = &'a str> {
        let start = [format!("fn {test}("), format!("fn {test}<")];
        let before = start.iter().find_map(|start| self.text.find(start)).map_or("", |at| &self.text[..at]);
        let lines = before.lines().rev().skip(1).map(str::trim_start);
        lines.take_while(|line| line.starts_with("///") || line.starts_with("#["))
    }
}

/// Whether a line that speaks of scenarios has the number as a word.
fn says<'a>(mut lines: impl Iterator<Item = &'a str>, number: u32) -> bool {
    let word = number.to_string();
    lines.any(|line| {
        let told = line.split("Scenario").skip(1);
        told.flat_map(|rest| rest.split(|c: char| !c.is_ascii_digit())).any(|found| found == word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: &str = "//! Turns. Scenario 3 throughout.\n\n/// Scenarios 1, and 12.\n#[test]\nfn one() {}\n\n/// Nothing.\n#[test]\nfn other() {}\n";

    fn told(rows: &[&str]) -> Vec<String> {
        let given = |n: &u32| rows.iter().any(|row| number(row) == Some(*n));
        let rest = NUMBERS.filter(|n| !given(n)).map(|n| format!("| {n} | P | x | later |"));
        let page = rows.iter().map(ToString::to_string).chain(rest).collect::<Vec<_>>().join("\n");
        let tree = Tree::of(&[("crates/a/tests/t.rs", TESTS), (PAGE, &page)]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_test_that_says_its_number_passes_and_so_does_what_comes_later() {
        assert_eq!(
            told(&["| 1 | P | x | `other`, `one` |", "| 12 | S | x | `one` |", "| 3 | S | x | `other` |"]),
            [""; 0]
        );
        assert_eq!(check(&Tree::of(&[])), []);
    }

    #[test]
    fn a_missing_test_a_missing_number_and_a_missing_row_are_found() {
        let unsaid = "no test of scenario 2 says the number: write `Scenario 2.` in the comment of one";
        assert_eq!(told(&["| 2 | P | x | `one`, `other` |"]), [unsaid]);
        assert_eq!(told(&["| 2 | P | x | being built |"]), [unsaid]);
        let missing = "scenario 1 names the test `gone`, which no source has: write it, or correct the name";
        assert_eq!(told(&["| 1 | P | x | `one`, `gone` |"]), [missing]);
        let page = "| 1 | P | x | `one` |";
        let tree = Tree::of(&[("crates/a/tests/t.rs", TESTS), (PAGE, page)]);
        assert_eq!(check(&tree).len(), 51);
    }
}
