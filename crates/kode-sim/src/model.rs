//! The model of the simulated world: it takes its time, asks for tools, and fails now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use kode_core::model::{
    AskedCall, ErrorClass, Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream,
};
use kode_testkit::sim::chance::Chance;
use kode_testkit::sim::watch::Watch;

use crate::tools::NAMES;

/// The model as one node asks it.
pub(crate) struct SimModel {
    pub(crate) node: String,
    pub(crate) watch: Watch,
    pub(crate) chance: Mutex<Chance>,
}

type Piece = (Duration, Result<ModelEvent, ModelError>);

impl SimModel {
    /// What it says to the next request, and how long it thinks before each piece.
    fn answer(&self) -> Vec<Piece> {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let words = (0..chance.between(1, 3)).map(|n| Ok(ModelEvent::Text(format!("word {n} "))));
        let mut said: Vec<_> = words.collect();
        said.push(match chance.below(100) {
            0..5 => Err(ModelError::retryable(ErrorClass::Overloaded, "busy")),
            5..50 => Ok(finished((0..chance.between(1, 3)).map(|_| call(&mut chance)).collect())),
            _ => Ok(finished(Vec::new())),
        });
        said.into_iter().map(|piece| (Duration::from_millis(chance.between(1, 60)), piece)).collect()
    }
}

fn call(chance: &mut Chance) -> AskedCall {
    AskedCall { name: NAMES[chance.index(NAMES.len())].into(), arguments: "{}".into() }
}

fn finished(calls: Vec<AskedCall>) -> ModelEvent {
    let finish = if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
    ModelEvent::Finished { calls, finish, usage: None }
}

async fn say((pause, piece): Piece) -> Result<ModelEvent, ModelError> {
    tokio::time::sleep(pause).await;
    piece
}

#[async_trait]
impl Model for SimModel {
    fn provider(&self) -> &str {
        "simulated"
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        self.watch.model_asked(&self.node, &request);
        Ok(stream::iter(self.answer()).then(say).boxed())
    }
}

/// The model of a node, for a runtime.
pub(crate) fn of(node: &str, watch: &Watch, chance: Chance) -> Arc<dyn Model> {
    Arc::new(SimModel { node: node.to_owned(), watch: watch.clone(), chance: Mutex::new(chance) })
}
