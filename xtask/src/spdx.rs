//! SPDX licence expressions: a small parser, and the question whether an allow-list satisfies one.
//!
//! Grammar: `or := and (("OR" | "/") and)*`, `and := atom ("AND" atom)*`, `atom := "(" or ")" | id ["WITH" id]`.
//! The `/` is the old spelling of OR that cargo still accepts.

use anyhow::{Context as _, bail};

/// A parsed expression. An `id WITH exception` is one licence, by its whole text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    Licence(String),
    Any(Vec<Expression>),
    All(Vec<Expression>),
}

impl Expression {
    /// Reads an expression to its end.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut words = words.as_slice();
        let expression = or(&mut words).with_context(|| format!("in the licence expression '{text}'"))?;
        match words.first() {
            None => Ok(expression),
            Some(word) => bail!("unexpected '{word}' in the licence expression '{text}'"),
        }
    }

    /// Whether taking only allowed licences can satisfy the expression.
    pub(crate) fn satisfied_by(&self, allowed: &[&str]) -> bool {
        match self {
            Self::Licence(id) => allowed.contains(&id.as_str()),
            Self::Any(parts) => parts.iter().any(|part| part.satisfied_by(allowed)),
            Self::All(parts) => parts.iter().all(|part| part.satisfied_by(allowed)),
        }
    }
}

type Words<'a, 'b> = &'b mut &'a [&'a str];

fn or(words: Words<'_, '_>) -> anyhow::Result<Expression> {
    let mut parts = vec![and(words)?];
    while take(words, "OR") {
        parts.push(and(words)?);
    }
    Ok(joined(parts, Expression::Any))
}

fn and(words: Words<'_, '_>) -> anyhow::Result<Expression> {
    let mut parts = vec![atom(words)?];
    while take(words, "AND") {
        parts.push(atom(words)?);
    }
    Ok(joined(parts, Expression::All))
}

fn atom(words: Words<'_, '_>) -> anyhow::Result<Expression> {
    if take(words, "(") {
        let inner = or(words)?;
        if !take(words, ")") {
            bail!("a parenthesis is not closed");
        }
        return Ok(inner);
    }
    let id = licence_id(words)?;
    if take(words, "WITH") {
        let exception = licence_id(words)?;
        return Ok(Expression::Licence(format!("{id} WITH {exception}")));
    }
    Ok(Expression::Licence(id.to_owned()))
}

fn licence_id<'a>(words: Words<'a, '_>) -> anyhow::Result<&'a str> {
    match words.split_first() {
        Some((word, rest)) if !["AND", "OR", "WITH", "(", ")"].contains(word) => {
            *words = rest;
            Ok(word)
        }
        Some((word, _)) => bail!("expected a licence, found '{word}'"),
        None => bail!("expected a licence, found the end"),
    }
}

fn take(words: Words<'_, '_>, word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        Some(_) | None => false,
    }
}

fn joined(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => join(parts.into_iter().chain(last).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, list: &[&str]) -> bool {
        Expression::parse(text).unwrap().satisfied_by(list)
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let id = |text: &str| Expression::Licence(text.to_owned());
        let parsed = Expression::parse("A OR B AND C").unwrap();
        assert_eq!(parsed, Expression::Any(vec![id("A"), Expression::All(vec![id("B"), id("C")])]));
    }

    #[test]
    fn one_side_of_an_or_is_enough_and_both_of_an_and_are_needed() {
        assert!(allowed("GPL-3.0 OR MIT", &["MIT"]));
        assert!(allowed("Unlicense/MIT", &["MIT"]));
        assert!(!allowed("MIT AND GPL-3.0", &["MIT"]));
        assert!(!allowed("(MIT OR ISC) AND BSD-3-Clause", &["MIT"]));
        assert!(allowed("(MIT OR ISC) AND BSD-3-Clause", &["ISC", "BSD-3-Clause"]));
    }

    #[test]
    fn an_exception_makes_another_licence() {
        assert!(!allowed("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"]));
        assert!(allowed("GPL-2.0 WITH Classpath-exception-2.0", &["GPL-2.0 WITH Classpath-exception-2.0"]));
    }

    #[test]
    fn broken_expressions_are_refused_with_their_text() {
        for (text, why) in [
            ("", "expected a licence, found the end"),
            ("MIT OR", "expected a licence, found the end"),
            ("(MIT", "a parenthesis is not closed"),
            ("AND MIT", "expected a licence, found 'AND'"),
            ("MIT Apache-2.0", "unexpected 'Apache-2.0'"),
        ] {
            let error = format!("{:#}", Expression::parse(text).unwrap_err());
            assert!(error.contains(why) && error.contains(&format!("'{text}'")), "{text}: {error}");
        }
    }
}
