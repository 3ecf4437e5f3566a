//! What an attempt at the model has shown so far: pieces of blocks, joined.

use serde::{Deserialize, Serialize};

use crate::fact::ChunkPart;
use crate::message::Block;

/// What an attempt has shown so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Partial {
    /// The blocks, the last one possibly open.
    pub blocks: Vec<Shown>,
    /// Whether the last block is open.
    pub open: bool,
}

/// One shown block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// Reasoning.
    Thinking(String),
    /// Text.
    Text(String),
}

impl Shown {
    /// The piece with which such a block begins.
    #[must_use]
    pub fn start(&self) -> ChunkPart {
        match self {
            Self::Thinking(_) => ChunkPart::ThinkStart,
            Self::Text(_) => ChunkPart::TextStart,
        }
    }
}

impl Partial {
    /// Takes one piece in.
    pub fn take(&mut self, part: &ChunkPart) {
        match part {
            ChunkPart::ThinkStart => self.blocks.push(Shown::Thinking(String::new())),
            ChunkPart::TextStart => self.blocks.push(Shown::Text(String::new())),
            ChunkPart::Think(delta) | ChunkPart::Text(delta) => match self.blocks.last_mut() {
                Some(Shown::Thinking(text) | Shown::Text(text)) => text.push_str(delta),
                None => {}
            },
            ChunkPart::ThinkEnd | ChunkPart::TextEnd(_) => {}
            ChunkPart::Void(_) => self.blocks.clear(),
        }
        self.open = !matches!(part, ChunkPart::ThinkEnd | ChunkPart::TextEnd(_) | ChunkPart::Void(_));
    }

    /// The end of the open block, if there is one.
    #[must_use]
    pub fn end(&self) -> Option<ChunkPart> {
        match self.blocks.last().filter(|_| self.open)? {
            Shown::Thinking(_) => Some(ChunkPart::ThinkEnd),
            Shown::Text(text) => Some(ChunkPart::TextEnd(text.clone())),
        }
    }

    /// What was shown, as content.
    #[must_use]
    pub fn content(&self) -> Vec<Block> {
        let block = |shown: &Shown| match shown {
            Shown::Thinking(text) => Block::Thinking { text: text.clone() },
            Shown::Text(text) => Block::Text { text: text.clone() },
        };
        self.blocks.iter().map(block).collect()
    }
}
