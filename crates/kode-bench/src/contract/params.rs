//! A workload's parameters: `key=value`, as they stand on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;

/// The parameters of one run.
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads them.
    pub(crate) fn of(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let pair = |word: String| {
            let (key, value) = word.split_once('=').with_context(|| format!("{word}: not key=value"))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        words.map(pair).collect::<anyhow::Result<_>>().map(Self)
    }

    /// A number, or what is usual.
    pub(crate) fn number(&self, key: &str, usual: usize) -> anyhow::Result<usize> {
        let parse = |text: &String| text.parse().with_context(|| format!("{key}={text}: not a number"));
        self.0.get(key).map_or(Ok(usual), parse)
    }

    /// A text that has to be there.
    pub(crate) fn text(&self, key: &str) -> anyhow::Result<&str> {
        self.maybe(key).with_context(|| format!("{key}=… is missing"))
    }

    /// A text, where there is one.
    pub(crate) fn maybe(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The directory of the run.
    pub(crate) fn dir(&self) -> anyhow::Result<PathBuf> {
        Ok(PathBuf::from(self.text("dir")?))
    }
}
