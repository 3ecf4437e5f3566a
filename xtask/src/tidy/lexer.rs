//! A tiny tokenizer of Rust: enough to match rules against code without its prose.
//!
//! Comments vanish and literals shrink to `""`, so neither can trip a rule. A rule's needle is itself Rust,
//! cut into tokens the same way, so spacing and line breaks cannot hide a match. Nothing here is a parser.

/// One token and its line, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// Which part of a file a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All code.
    Whole,
    /// What ships: neither a test module nor a file of tests.
    Body,
    /// The rest: test modules and files of tests.
    Tests,
}

/// The tokens of one file.
pub(crate) struct Lexed<'a> {
    tokens: Vec<Token<'a>>,
    /// Each import with its braces spread out, so that `use std::{fs, io}` names `std::fs`.
    imports: Vec<Vec<Token<'a>>>,
    /// The first line of test code; past the end when there is none.
    tests_from: usize,
}

impl<'a> Lexed<'a> {
    /// Cuts a file; its path tells whether all of it is test code.
    pub(crate) fn new(path: &str, text: &'a str) -> Self {
        let tokens = tokenize(text);
        let imports = imports(&tokens);
        let tests_from = if is_test_file(path) { 0 } else { test_module(&tokens).unwrap_or(usize::MAX) };
        Self { tokens, imports, tests_from }
    }

    /// The lines of `part` on which the needle's tokens stand one after another; rising, each once.
    pub(crate) fn find(&self, needle: &str, part: Part) -> Vec<usize> {
        let needle: Vec<&str> = tokenize(needle).iter().map(|token| token.text).collect();
        let runs = self.imports.iter().chain(std::iter::once(&self.tokens));
        let hits = runs.flat_map(|run| run.windows(needle.len()));
        let hits = hits.filter(|window| window.iter().map(|token| token.text).eq(needle.iter().copied()));
        let mut lines: Vec<usize> = hits.filter_map(|window| window.last()).map(|token| token.line).collect();
        lines.retain(|line| self.is_in(*line, part));
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// How many of the first `lines` lines are not test code.
    pub(crate) fn body_lines(&self, lines: usize) -> usize {
        lines.min(self.tests_from.saturating_sub(1))
    }

    /// The names that follow `fn`.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &'a str> {
        self.tokens.windows(2).filter(|pair| pair[0].text == "fn").map(|pair| pair[1].text)
    }

    fn is_in(&self, line: usize, part: Part) -> bool {
        match part {
            Part::Whole => true,
            Part::Body => line < self.tests_from,
            Part::Tests => line >= self.tests_from,
        }
    }
}

/// Integration tests, and the modules that unit tests are moved to when they grow.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The line of the first `#[cfg(test)] mod name {`, with whatever attributes between.
fn test_module(tokens: &[Token<'_>]) -> Option<usize> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let starts = |at: usize| tokens[at..].iter().map(|token| token.text).take(MARK.len()).eq(MARK);
    (0..tokens.len())
        .find(|at| starts(*at) && opens_module(&tokens[at + MARK.len()..]))
        .map(|at| tokens[at].line)
}

fn opens_module(tokens: &[Token<'_>]) -> bool {
    let mut rest = tokens;
    while let [first, ..] = rest
        && first.text == "#"
    {
        let Some(end) = rest.iter().position(|token| token.text == "]") else { return false };
        rest = &rest[end + 1..];
    }
    matches!(rest, [keyword, _, brace, ..] if keyword.text == "mod" && brace.text == "{")
}

fn imports<'a>(tokens: &[Token<'a>]) -> Vec<Vec<Token<'a>>> {
    let mut spread = Vec::new();
    for at in tokens.iter().enumerate().filter(|(_, token)| token.text == "use").map(|(at, _)| at) {
        spread_import(&mut &tokens[at + 1..], Vec::new(), &mut spread);
    }
    spread
}

/// Follows one branch of an import until it ends, and every branch of the braces that it comes to.
fn spread_import<'a>(rest: &mut &[Token<'a>], mut path: Vec<Token<'a>>, into: &mut Vec<Vec<Token<'a>>>) {
    while let Some((token, after)) = rest.split_first() {
        match token.text {
            "," | "}" | ";" => break,
            "{" => {
                *rest = after;
                return spread_braces(rest, &path, into);
            }
            _ => path.push(*token),
        }
        *rest = after;
    }
    into.push(path);
}

fn spread_braces<'a>(rest: &mut &[Token<'a>], path: &[Token<'a>], into: &mut Vec<Vec<Token<'a>>>) {
    loop {
        spread_import(rest, path.to_vec(), into);
        let Some((token, after)) = rest.split_first() else { return };
        *rest = after;
        if token.text != "," {
            return;
        }
    }
}

fn tokenize(text: &str) -> Vec<Token<'_>> {
    let mut cutter = Cutter { rest: text, line: 1, tokens: Vec::new() };
    while let Some(first) = cutter.rest.chars().next() {
        cutter.cut(first);
    }
    cutter.tokens
}

/// What stands for a literal.
const LITERAL: &str = "\"\"";

struct Cutter<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Cutter<'a> {
    /// Cuts off what starts with `first`.
    fn cut(&mut self, first: char) {
        match first {
            _ if self.rest.starts_with("//") => self.skip(self.find_end("\n")),
            _ if self.rest.starts_with("/*") => self.skip(self.comment_len()),
            '"' => self.literal(quoted_len(self.rest, '"')),
            '\'' => self.quote(),
            c if c.is_whitespace() => self.skip(c.len_utf8()),
            c if is_word(c) => self.word(),
            _ if self.rest.starts_with("::") || self.rest.starts_with("=>") => self.emit(2),
            c => self.emit(c.len_utf8()),
        }
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
    }

    fn emit(&mut self, bytes: usize) {
        self.tokens.push(Token { text: &self.rest[..bytes], line: self.line });
        self.skip(bytes);
    }

    fn literal(&mut self, bytes: usize) {
        self.tokens.push(Token { text: LITERAL, line: self.line });
        self.skip(bytes);
    }

    /// An identifier, a keyword or a number; or the prefix of a literal (`r#"…"#`, `b'…'`) or of `r#name`.
    fn word(&mut self) {
        let bytes = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(bytes);
        let hashes = after.len() - after.trim_start_matches('#').len();
        let quoted = after[hashes..].starts_with('"');
        match word {
            "r" | "br" | "cr" if quoted => self.literal(bytes + self.raw_len(bytes, hashes)),
            "b" | "c" if quoted && hashes == 0 => self.literal(bytes + quoted_len(after, '"')),
            "b" if after.starts_with('\'') => self.literal(bytes + quoted_len(after, '\'')),
            "r" if hashes == 1 => self.skip(bytes + hashes),
            _ => self.emit(bytes),
        }
    }

    /// The length of `#"…"#` behind a prefix.
    fn raw_len(&self, prefix: usize, hashes: usize) -> usize {
        let open = prefix + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let found = self.rest[open..].find(&close).map(|at| open + at + close.len());
        found.unwrap_or(self.rest.len()) - prefix
    }

    /// A character, or else a lifetime, which no rule speaks of.
    fn quote(&mut self) {
        let mut after = self.rest[1..].chars();
        let (first, second) = (after.next(), after.next());
        if first == Some('\\') || second == Some('\'') {
            return self.literal(quoted_len(self.rest, '\''));
        }
        let name = self.rest[1..].find(|c| !is_word(c)).unwrap_or(self.rest.len() - 1);
        self.skip(1 + name);
    }

    fn comment_len(&self) -> usize {
        let (mut at, mut depth) = (2, 1);
        while depth > 0 {
            let Some(found) = self.rest[at..].find(['/', '*']) else { return self.rest.len() };
            at += found;
            let (step, deeper) = match &self.rest.as_bytes()[at..] {
                [b'/', b'*', ..] => (2, 1),
                [b'*', b'/', ..] => (2, -1),
                _ => (1, 0),
            };
            at += step;
            depth += deeper;
        }
        at
    }

    fn find_end(&self, end: &str) -> usize {
        self.rest.find(end).unwrap_or(self.rest.len())
    }
}

/// The length of a literal with escapes, quotes included.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokenize(text).iter().map(|token| token.text).collect()
    }

    fn lines(text: &str, needle: &str, part: Part) -> Vec<usize> {
        Lexed::new("src/a.rs", text).find(needle, part)
    }

    #[test]
    fn comments_vanish_and_literals_shrink() {
        assert_eq!(words("a // b\nc /* d /* e */ f */ g"), ["a", "c", "g"]);
        assert_eq!(words(r##"x("a\"b", r#"c"d"#, b"e", 'f', '\'', b'g', c"h")"##), {
            let mut expected = vec!["x", "("];
            expected.extend([LITERAL, ","].repeat(6));
            expected.extend([LITERAL, ")"]);
            expected
        });
    }

    #[test]
    fn lifetimes_raw_names_and_wide_characters_are_no_literals() {
        assert_eq!(words("fn f<'a>(x: &'a str)"), ["fn", "f", "<", ">", "(", "x", ":", "&", "str", ")"]);
        assert_eq!(words("r#type 'é' é"), ["type", LITERAL, "é"]);
    }

    #[test]
    fn unclosed_text_ends_with_the_file() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'\\", "'", "b'", "//", "use a::{b"] {
            let lexed = Lexed::new("src/a.rs", text);
            assert_eq!(lexed.find("never", Part::Whole), [0; 0], "{text}");
        }
    }

    #[test]
    fn a_needle_is_matched_by_tokens_wherever_they_break() {
        let text = "std ::\n    fs::read(\"std::env\");\n// std::env\nmystd::fs2();\n";
        assert_eq!(lines(text, "std::fs", Part::Whole), [2]);
        assert_eq!(lines(text, "std::env", Part::Whole), [0; 0]);
    }

    #[test]
    fn imports_are_matched_through_their_braces() {
        let text = "use std::{\n    fmt::{self, Debug},\n    fs, time as t,\n};\nuse tokio::{self};\n";
        assert_eq!(lines(text, "std::fs", Part::Whole), [3]);
        assert_eq!(lines(text, "std::time", Part::Whole), [3]);
        assert_eq!(lines(text, "std::fmt::Debug", Part::Whole), [2]);
        assert_eq!(lines(text, "tokio", Part::Whole), [5]);
        assert_eq!(lines(text, "fmt::fs", Part::Whole), [0; 0]);
    }

    #[test]
    fn a_test_module_splits_the_file_and_a_declaration_does_not() {
        let text =
            "x();\n#[cfg(test)]\nmod tests;\nx();\n#[cfg(test)]\n#[expect(a)]\nmod more {\n    x();\n}\n";
        assert_eq!(lines(text, "x(", Part::Body), [1, 4]);
        assert_eq!(lines(text, "x(", Part::Tests), [8]);
        let lexed = Lexed::new("src/a.rs", text);
        assert_eq!(lexed.body_lines(text.lines().count()), 4);
    }

    #[test]
    fn a_file_of_tests_has_no_body() {
        for path in ["crates/a/tests/main.rs", "crates/a/src/b/tests.rs", "crates/a/src/tests/c.rs"] {
            let lexed = Lexed::new(path, "x();");
            let found = (lexed.find("x", Part::Body), lexed.find("x", Part::Tests));
            assert_eq!(found, (vec![], vec![1]), "{path}");
        }
    }

    #[test]
    fn functions_are_known_by_name() {
        let lexed = Lexed::new("a.rs", "fn one() {} // fn two\nasync fn three<'a>() { \"fn four\" }");
        assert_eq!(lexed.functions().collect::<Vec<_>>(), ["one", "three"]);
    }
}
