//! Every guarantee that is said to hold names a test that exists.
//!
//! `docs/guarantees.md` has G1 to G12, each begun by a heading (`## G1 · done`) or a table row (`| G1 | … | done |`).
//! One that is `done`, and nothing less, names a test in backticks somewhere on the page: `g1_…`, a `fn` of the sources.

use std::collections::BTreeSet;

use crate::report::Finding;

use super::lexer::Lexed;
use super::tree::Tree;

const PAGE: &str = "docs/guarantees.md";
const RULE: &str = "guarantee";
const GUARANTEES: std::ops::RangeInclusive<u32> = 1..=12;

/// Checks the page, once there is one.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.read(PAGE) else { return Vec::new() };
    let sections = GUARANTEES.flat_map(|number| check_section(page, number));
    missing_tests(tree, page).into_iter().chain(sections).collect()
}

/// Tests that the page names and no source has.
fn missing_tests(tree: &Tree, page: &str) -> Vec<Finding> {
    let functions = functions(tree);
    let named = page.lines().zip(1..).flat_map(|(text, line)| tests_in(text).map(move |test| (test, line)));
    let missing = named.filter(|(test, _)| !functions.contains(test));
    let message =
        |test| format!("names the test `{test}`, which no source has: write it, or correct the name");
    missing.map(|(test, line)| Finding::new(PAGE, line, RULE, message(test))).collect()
}

fn functions(tree: &Tree) -> BTreeSet<&str> {
    let lexed = tree.rust_sources().map(|(path, text)| Lexed::new(path, text));
    lexed.flat_map(|lexed| lexed.functions().collect::<Vec<_>>()).collect()
}

/// The guarantee is spoken of, and proven when it is said to be done.
fn check_section(page: &str, number: u32) -> Option<Finding> {
    let Some((text, line)) = page.lines().zip(1..).find(|(text, _)| begins(text) == Some(number)) else {
        let message = format!("says nothing of G{number}: give it a heading or a row");
        return Some(Finding::new(PAGE, 0, RULE, message));
    };
    let message = format!(
        "G{number} is done and the page names no test `g{number}_…`: name one, or say what is missing"
    );
    (is_done(text) && !proven(page, number)).then(|| Finding::new(PAGE, line, RULE, message))
}

/// The guarantee that a line begins, if it does.
fn begins(line: &str) -> Option<u32> {
    let words = line.trim_start_matches(['#', '|', '*', '-', ' ']);
    let marked = words.len() < line.len();
    let digits: String = words.strip_prefix('G')?.chars().take_while(char::is_ascii_digit).collect();
    if marked { digits.parse().ok() } else { None }
}

/// Whether one part of a row or heading is the plain word; in a sentence it says nothing.
fn is_done(line: &str) -> bool {
    line.split(['|', '·', '—', ':', '(', ')']).any(|part| part.trim_matches(['*', ' ']) == "done")
}

fn proven(page: &str, number: u32) -> bool {
    let start = format!("g{number}_");
    page.lines().flat_map(tests_in).any(|test| test.starts_with(&start))
}

/// The names in backticks that begin with `g` and a digit; a path before them is dropped.
fn tests_in(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|code| code.rsplit("::").next());
    names.filter(|name| name.starts_with('g') && name[1..].starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: (&str, &str) = ("crates/a/tests/main.rs", "fn g1_holds() {}\n// fn g2_holds() {}\n");

    /// A page of rows: the given ones, and a planned one for each guarantee that they leave out.
    fn page(rows: &[&str]) -> String {
        let given = |number: &u32| rows.iter().any(|row| begins(row) == Some(*number));
        let rest =
            GUARANTEES.filter(|number| !given(number)).map(|number| format!("| G{number} | x | planned |"));
        rows.iter().map(ToString::to_string).chain(rest).collect::<Vec<_>>().join("\n")
    }

    fn told(page: &str) -> Vec<String> {
        check(&Tree::of(&[SOURCE, (PAGE, page)])).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_done_guarantee_with_a_test_that_exists_passes() {
        assert_eq!(told(&page(&["| G1 | nothing is done twice | done | `a::g1_holds` |"])), [""; 0]);
        assert_eq!(told(&page(&["## G1 · done", "", "Proven by `g1_holds`."])), [""; 0]);
        assert_eq!(check(&Tree::of(&[SOURCE])), []);
    }

    #[test]
    fn a_test_that_no_source_has_is_refused() {
        let expected = "names the test `g2_holds`, which no source has: write it, or correct the name";
        assert_eq!(told(&page(&["| G2 | x | partly | `g2_holds` |"])), [expected]);
    }

    #[test]
    fn done_without_a_test_of_its_own_is_refused() {
        let expected = "G2 is done and the page names no test `g2_…`: name one, or say what is missing";
        assert_eq!(told(&page(&["| G2 | x | done | `g1_holds` |"])), [expected]);
        assert_eq!(told(&page(&["## G2 · **done**", "", "## G1 · done", "`g1_holds`"])), [expected]);
        assert_eq!(told(&page(&["| G2 | nothing is done twice | on one node | |"])), [""; 0]);
    }

    #[test]
    fn a_guarantee_that_is_not_spoken_of_is_missed() {
        let without = page(&[]).replace("| G12 | x | planned |", "");
        assert_eq!(told(&without), ["says nothing of G12: give it a heading or a row"]);
    }
}
