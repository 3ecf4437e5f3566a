//! What a reader is shown of an answer: pieces with the starts and ends of their blocks.

use crate::fact::ChunkPart;
use crate::machine::{Delta, ModelCall, Partial, Shown};
use crate::message::Block;

/// The pieces to show, with starts and ends where the kind changes.
pub(super) fn shown_parts(call: &ModelCall, deltas: Vec<Delta>, expose_thinking: bool) -> Vec<ChunkPart> {
    let mut open = call.partial.blocks.last().filter(|_| call.partial.open).map(Shown::start);
    let mut parts = Vec::with_capacity(deltas.len() + 2);
    for delta in deltas {
        let (start, piece) = match delta {
            Delta::Thinking(_) if !expose_thinking => continue,
            Delta::Thinking(text) => (ChunkPart::ThinkStart, ChunkPart::Think(text)),
            Delta::Text(text) => (ChunkPart::TextStart, ChunkPart::Text(text)),
        };
        if open.as_ref() != Some(&start) {
            parts.extend(end_after(&call.partial, &parts));
            parts.push(start.clone());
            open = Some(start);
        }
        parts.push(piece);
    }
    parts
}

/// The ends of blocks still open; where hooks made it another answer, what was shown is void and that one is told.
pub(super) fn ends(call: &ModelCall, edited: Option<&[Block]>, expose_thinking: bool) -> Vec<ChunkPart> {
    let open = call.partial.end();
    let shown = |block: &Block| match block {
        Block::Text { text } => Some(Shown::Text(text.clone())),
        Block::Thinking { text } => expose_thinking.then(|| Shown::Thinking(text.clone())),
        Block::ToolUse { .. } | Block::ToolResult { .. } => None,
    };
    let now: Option<Vec<Shown>> = edited.map(|content| content.iter().filter_map(shown).collect());
    match now.filter(|now| *now != call.partial.blocks) {
        None => open.into_iter().collect(),
        Some(now) => {
            [ChunkPart::Void("post_model".into())].into_iter().chain(now.iter().flat_map(told)).collect()
        }
    }
}

/// A block in one piece.
fn told(block: &Shown) -> [ChunkPart; 3] {
    match block {
        Shown::Text(text) => {
            [ChunkPart::TextStart, ChunkPart::Text(text.clone()), ChunkPart::TextEnd(text.clone())]
        }
        Shown::Thinking(text) => [ChunkPart::ThinkStart, ChunkPart::Think(text.clone()), ChunkPart::ThinkEnd],
    }
}

/// The end of the block that is open once these pieces are shown too. Only asked where the kind changes, so
/// that a long block is not copied for each of its pieces.
fn end_after(before: &Partial, parts: &[ChunkPart]) -> Option<ChunkPart> {
    let mut partial =
        Partial { blocks: before.blocks.last().cloned().into_iter().collect(), open: before.open };
    parts.iter().for_each(|part| partial.take(part));
    partial.end()
}
