//! What a person is told of an import: what was mended on the way, and what stayed behind.

use serde::Serialize;

/// One thing that did not come over as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Which kind of thing.
    pub kind: NoteKind,
    /// What it is, in one sentence.
    pub what: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteKind {
    /// It was broken and was made right.
    Mended,
    /// It has no place in a journal and was left where it is.
    Left,
}

/// The notes on one agent, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    pub(crate) fn mended(&mut self, what: impl Into<String>) {
        self.0.push(Note { kind: NoteKind::Mended, what: what.into() });
    }

    pub(crate) fn left(&mut self, what: impl Into<String>) {
        self.0.push(Note { kind: NoteKind::Left, what: what.into() });
    }

    pub(crate) fn into_vec(self) -> Vec<Note> {
        self.0
    }
}
