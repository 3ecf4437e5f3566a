//! State to and from the four documents of a checkpoint. They are a person's view and a fast start; the
//! journal stays the only truth, so a checkpoint that does not fit is simply not used.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::Seq;
use crate::store::Checkpoint;

use super::State;
use crate::pages::Pages;

/// The version of the documents that this crate writes, and the only one that it reads.
pub const CHECKPOINT_VERSION: u32 = 2;

#[derive(Serialize)]
struct Metadata<'a> {
    format: u32,
    elided: Seq,
    state: &'a State,
}

/// The same before its version is known to be ours.
#[derive(Deserialize)]
struct AnyMetadata<'a> {
    format: u32,
    /// Up to where runs of entries were looked for that may be elided; no matter of the state's.
    #[serde(default)]
    elided: Seq,
    #[serde(borrow)]
    state: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Messages<M> {
    messages: M,
}

#[derive(Serialize, Deserialize)]
struct Tools<C> {
    calls: C,
}

impl State {
    /// The checkpoint that stands for this state.
    #[must_use]
    pub fn to_checkpoint(&self) -> Checkpoint {
        self.to_checkpoint_over(Seq::ZERO)
    }

    /// The same, with a note of how far the journal's runs are elided.
    pub(crate) fn to_checkpoint_over(&self, elided: Seq) -> Checkpoint {
        let files = [
            ("messages.json", json(&Messages { messages: &self.transcript })),
            ("tools.json", json(&Tools { calls: &self.records })),
            ("todos.json", json(&*self.todos)),
            ("metadata.json", json(&Metadata { format: CHECKPOINT_VERSION, elided, state: self })),
        ];
        Checkpoint { seq: self.seq, files: files.map(|(name, bytes)| (name.to_owned(), bytes)).into() }
    }

    /// The state that a checkpoint stands for; none if any part is missing or not of this version.
    #[must_use]
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Option<Self> {
        Self::restore(checkpoint).map(|(state, _)| state)
    }

    /// The same with the note.
    pub(crate) fn restore(checkpoint: &Checkpoint) -> Option<(Self, Seq)> {
        // As text, whose letters are looked at once and not for every string anew.
        let file = |name: &str| std::str::from_utf8(checkpoint.files.get(name)?).ok();
        let metadata: AnyMetadata<'_> = serde_json::from_str(file("metadata.json")?).ok()?;
        if metadata.format != CHECKPOINT_VERSION {
            return None;
        }
        let mut state: Self = serde_json::from_str(metadata.state.get()).ok()?;
        let Messages { messages } =
            serde_json::from_str::<Messages<Pages<_>>>(file("messages.json")?).ok()?;
        let Tools { calls } = serde_json::from_str::<Tools<Pages<_>>>(file("tools.json")?).ok()?;
        state.transcript = messages;
        state.records = calls;
        state.todos = serde_json::from_str(file("todos.json")?).ok()?;
        (state.seq == checkpoint.seq).then_some((state, metadata.elided))
    }
}

fn json(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).expect("state documents have string keys only").into()
}
