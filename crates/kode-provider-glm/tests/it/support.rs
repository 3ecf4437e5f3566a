//! What the tests share: decoding a wire text into one comparable value.

use std::collections::VecDeque;

use kode_core::message::Usage;
use kode_core::model::{AskedCall, ErrorClass, Finish, ModelError, ModelEvent};
use kode_provider_glm::codec::Codec;
use serde_json::{Value, json};

/// All that an answer came to.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Told {
    /// The model's name, as it says it itself.
    pub(crate) model: Option<String>,
    pub(crate) thinking: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) finish: Option<Finish>,
    pub(crate) usage: Option<Usage>,
    pub(crate) error: Option<ModelError>,
}

impl Told {
    /// Adds one event. Panics where the order of events is broken.
    pub(crate) fn add(&mut self, event: ModelEvent) {
        assert_eq!(self.finish, None, "nothing comes after the finish");
        match event {
            ModelEvent::Thinking(piece) | ModelEvent::Text(piece) if piece.is_empty() => {
                panic!("an empty piece")
            }
            ModelEvent::Began { model, id } => {
                assert!(model.is_some() || id.is_some(), "a beginning says something");
                assert!(
                    self.text.is_empty() && self.thinking.is_empty(),
                    "nothing comes before the beginning"
                );
                self.model = model;
            }
            ModelEvent::Thinking(piece) => self.thinking += &piece,
            ModelEvent::Text(piece) => self.text += &piece,
            ModelEvent::Finished { calls, finish, usage } => {
                let pair = |AskedCall { name, arguments }| (name, arguments);
                self.calls = calls.into_iter().map(pair).collect();
                (self.finish, self.usage) = (Some(finish), usage);
            }
        }
    }

    pub(crate) fn class(&self) -> Option<ErrorClass> {
        self.error.as_ref().map(|error| error.class)
    }
}

/// What the pieces of a stream come to.
pub(crate) fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let (mut codec, mut events, mut error) = (Codec::default(), VecDeque::new(), None);
    for piece in pieces {
        error = error.or(codec.feed(piece, &mut events).err());
    }
    error = error.or(codec.end(&mut events).err());
    let beginnings = events.iter().filter(|event| matches!(event, ModelEvent::Began { .. })).count();
    assert!(beginnings <= 1, "an answer begins once");
    let mut told = Told { error, ..Told::default() };
    events.into_iter().for_each(|event| told.add(event));
    assert!(codec.is_over(), "an answer ends well or badly, but it ends");
    assert!(told.finish.is_some() != told.error.is_some(), "either a finish or an error: {told:?}");
    told
}

/// What a stream in one piece comes to.
pub(crate) fn decode_text(wire: &str) -> Told {
    decode([wire.as_bytes()])
}

/// A frame with this delta.
pub(crate) fn delta(delta: Value) -> String {
    format!("data: {}\n\n", json!({"id": "g1", "choices": [{"index": 0, "delta": delta}]}))
}

/// A frame with some text.
pub(crate) fn text(text: &str) -> String {
    delta(json!({"content": text}))
}

/// A frame with a finish.
pub(crate) fn finish(reason: &str) -> String {
    let choice = json!({"index": 0, "finish_reason": reason, "delta": {"content": ""}});
    format!("data: {}\n\n", json!({"id": "g1", "choices": [choice]}))
}

/// The end of a stream.
pub(crate) const DONE: &str = "data: [DONE]\n\n";
