//! How the inside tells what it had: one JSON text a line, so that a process that is killed loses only what it had
//! not said.

use serde::{Deserialize, Serialize};

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub name: String,
    /// Whether it succeeded; nothing where it cannot be made on this machine.
    pub succeeded: Option<bool>,
    /// What was had, or why not.
    pub detail: String,
}

impl Told {
    pub(crate) fn had(name: &str, detail: &str) -> Self {
        Self { name: name.into(), succeeded: Some(true), detail: detail.into() }
    }

    pub(crate) fn stopped(name: &str, why: &str) -> Self {
        Self { name: name.into(), succeeded: Some(false), detail: why.into() }
    }

    pub(crate) fn absent(name: &str, why: &str) -> Self {
        Self { name: name.into(), succeeded: None, detail: why.into() }
    }

    pub(super) fn line(&self) -> String {
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }
}

/// All that was told.
pub fn parse(text: &str) -> impl Iterator<Item = Told> + '_ {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}
