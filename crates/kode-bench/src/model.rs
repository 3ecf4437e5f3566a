//! A model that answers at once, in pieces.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use kode_core::message::Usage;
use kode_core::model::{Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream};

/// Pieces of an answer, six characters each.
const PIECES: usize = 50;

/// Answers at once.
pub(crate) struct Instantly;

#[async_trait]
impl Model for Instantly {
    fn provider(&self) -> &str {
        "instantly"
    }

    async fn stream(&self, _: ModelRequest) -> Result<ModelStream, ModelError> {
        let pieces = (0..PIECES).map(|_| ModelEvent::Text("six ch".into()));
        let last =
            ModelEvent::Finished { calls: Vec::new(), finish: Finish::Stop, usage: Some(Usage::default()) };
        Ok(stream::iter(pieces.chain([last]).map(Ok)).boxed())
    }
}
