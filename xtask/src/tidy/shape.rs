//! The shape of files: each says what it is, none grows too long, every crate introduces itself.

use crate::report::Finding;

use super::lexer::Lexed;
use super::tree::Tree;

/// Lines before the test module that still fit one subject.
const LONGEST: usize = 400;
/// Up to this many lines a file is its own explanation.
const SELF_EXPLAINING: usize = 15;

/// Every rule on every file that it is about.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.rust_sources().flat_map(|(path, text)| [header(path, text), length(path, text)]);
    sources.chain(manifests(tree).map(|path| readme(tree, path))).flatten().collect()
}

fn header(path: &str, text: &str) -> Option<Finding> {
    let explained = text.starts_with("//!") || text.starts_with("#![doc = include_str!(");
    if explained || text.lines().count() <= SELF_EXPLAINING {
        return None;
    }
    let message = "starts without `//!`: say what the file is and what never belongs there";
    Some(Finding::new(path, 1, "header", message))
}

fn length(path: &str, text: &str) -> Option<Finding> {
    let all = text.lines().count();
    // A file of tests is all test code, and may grow no longer than another.
    let lines = match Lexed::new(path, text).body_lines(all) {
        0 => all,
        body => body,
    };
    let message = format!("has {lines} lines before its tests, more than {LONGEST}: split it into rooms");
    (lines > LONGEST).then(|| Finding::new(path, 0, "length", message))
}

fn manifests(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.files().map(|(path, _)| path).filter(|path| path.ends_with("Cargo.toml"))
}

fn readme(tree: &Tree, manifest: &str) -> Option<Finding> {
    let path = manifest.replace("Cargo.toml", "README.md");
    if tree.read(&path).is_some_and(|text| text.lines().count() > 2) {
        return None;
    }
    let message = "is missing or empty: say what the crate is, show it, and say what never belongs there";
    Some(Finding::new(&path, 0, "readme", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(files: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        check(&Tree::of(files)).into_iter().map(|finding| (finding.place, finding.rule)).collect()
    }

    #[test]
    fn a_file_over_fifteen_lines_explains_itself() {
        let silent = "fn f() {}\n".repeat(16);
        assert_eq!(broken(&[("a.rs", &silent)]), [("a.rs".to_owned(), "header")]);
        assert_eq!(broken(&[("a.rs", &silent[..150])]), []);
        assert_eq!(broken(&[("a.rs", &format!("//! What.\n{silent}"))]), []);
        assert_eq!(broken(&[("a.rs", &format!("#![doc = include_str!(\"../README.md\")]\n{silent}"))]), []);
    }

    #[test]
    fn four_hundred_lines_are_enough_and_tests_come_on_top() {
        let body = format!("//! What.\n{}", "fn f() {}\n".repeat(399));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn g() {}\n".repeat(200));
        assert_eq!(broken(&[("a.rs", &format!("{body}{tests}"))]), []);
        let grown = format!("{body}fn more() {{}}\n");
        assert_eq!(broken(&[("a.rs", &format!("{grown}{tests}"))]), [("a.rs".to_owned(), "length")]);
        assert_eq!(broken(&[("tests/a.rs", &grown)]), [("tests/a.rs".to_owned(), "length")]);
    }

    #[test]
    fn every_crate_introduces_itself() {
        let path = "crates/a/README.md".to_owned();
        assert_eq!(broken(&[("crates/a/Cargo.toml", "")]), [(path.clone(), "readme")]);
        assert_eq!(broken(&[("crates/a/Cargo.toml", ""), (&path, "# a\n")]), [(path.clone(), "readme")]);
        assert_eq!(broken(&[("crates/a/Cargo.toml", ""), (&path, "# a\n\nIt is a.\n")]), []);
    }
}
