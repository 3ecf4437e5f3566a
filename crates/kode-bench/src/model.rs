//! A model that answers at once, in pieces.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use kode_core::message::Usage;
use kode_core::model::{Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream};

/// Answers at once.
pub(crate) struct Instantly {
    /// Pieces of an answer.
    pub(crate) pieces: usize,
    /// Characters of a piece, in sixes.
    pub(crate) sixes: usize,
}

#[async_trait]
impl Model for Instantly {
    fn provider(&self) -> &str {
        "instantly"
    }

    async fn stream(&self, _: ModelRequest) -> Result<ModelStream, ModelError> {
        let piece = "six ch".repeat(self.sixes);
        let pieces = (0..self.pieces).map(move |_| ModelEvent::Text(piece.clone()));
        let last =
            ModelEvent::Finished { calls: Vec::new(), finish: Finish::Stop, usage: Some(Usage::default()) };
        Ok(stream::iter(pieces.chain([last]).map(Ok)).boxed())
    }
}
