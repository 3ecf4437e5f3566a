//! A line of a script as words, quoted texts, JSON and durations. Knows nothing of commands.

use std::str::FromStr;

use kode_core::id::Millis;
use serde::de::DeserializeOwned;

/// What stands between words.
const BORDERS: [char; 6] = ['{', '[', '"', ',', ';', '='];

/// A line being read from left to right.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self { rest: line.trim() }
    }

    /// Whether all was read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn eat(&mut self, bytes: usize) -> &'a str {
        let (eaten, rest) = self.rest.split_at(bytes);
        self.rest = rest.trim_start();
        eaten
    }

    fn next_word(&self) -> &'a str {
        let end = self.rest.find(|c: char| c.is_whitespace() || BORDERS.contains(&c));
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    /// The next word.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, String> {
        match self.next_word() {
            "" => Err(format!("{what} is missing before {:?}", self.rest)),
            word => Ok(self.eat(word.len())),
        }
    }

    /// Reads the word if it is the next one.
    pub(super) fn takes(&mut self, word: &str) -> bool {
        let next = self.next_word() == word;
        if next {
            self.eat(word.len());
        }
        next
    }

    /// Reads the sign if it is the next one.
    pub(super) fn sign(&mut self, sign: char) -> bool {
        let next = self.rest.starts_with(sign);
        if next {
            self.eat(sign.len_utf8());
        }
        next
    }

    /// All words up to the next sign or the end.
    pub(super) fn words(&mut self) -> Vec<String> {
        std::iter::from_fn(|| Some(self.next_word()).filter(|w| !w.is_empty()).map(|w| self.eat(w.len())))
            .map(str::to_owned)
            .collect()
    }

    /// A JSON value of the wanted type.
    pub(super) fn json<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, String> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<T>();
        let value = values.next().ok_or_else(|| format!("{what} is missing"))?;
        let value = value.map_err(|e| format!("{what} is no JSON of the right shape: {e}"))?;
        let read = values.byte_offset();
        self.eat(read);
        Ok(value)
    }

    /// A JSON value, if one begins here.
    pub(super) fn maybe_json<T: DeserializeOwned>(&mut self, what: &str) -> Result<Option<T>, String> {
        self.rest.starts_with(['{', '[', '"']).then(|| self.json(what)).transpose()
    }

    /// A quoted text, if one begins here.
    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, String> {
        self.rest.starts_with('"').then(|| self.json("the text")).transpose()
    }

    /// A quoted text, or `bytes N` for a long one, which a script would not want to hold.
    pub(super) fn long_text(&mut self, what: &str) -> Result<String, String> {
        if self.takes("bytes") { self.bytes() } else { self.json(what) }
    }

    /// A long text of so many bytes.
    pub(super) fn bytes(&mut self) -> Result<String, String> {
        Ok("0123456789abcdef".repeat(self.parsed::<usize>("a size")? / 16))
    }

    /// A number, or anything else that can be read from one word.
    pub(super) fn parsed<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.word(what)?;
        word.parse().map_err(|_| format!("{what} cannot be {word:?}"))
    }

    /// A value that JSON writes as a string, from a bare word: `not_found`, `deny`.
    pub(super) fn named<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, String> {
        let word = self.word(what)?;
        serde_json::from_value(word.into()).map_err(|_| format!("{word:?} is no {what}"))
    }

    /// A time such as `250ms`, `5s`, `2m`, `1h`.
    pub(super) fn duration(&mut self) -> Result<Millis, String> {
        let word = self.word("a time such as 5s")?;
        let unit = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let (count, unit) = word.split_at(unit);
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(format!("{word:?} is no time such as 250ms, 5s, 2m, 1h")),
        };
        count.parse::<Millis>().map(|n| n * unit).map_err(|_| format!("{word:?} begins with no number"))
    }

    /// That all was read.
    pub(super) fn end(&self) -> Result<(), String> {
        if self.is_empty() { Ok(()) } else { Err(format!("{:?} is too much here", self.rest)) }
    }
}
