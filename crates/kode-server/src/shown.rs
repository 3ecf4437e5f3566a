//! Events as a caller may see them: the one kind that names another agent does so only to those who reach it.

use std::borrow::Cow;
use std::sync::Arc;

use kode_core::event::{Envelope, Event};
use serde::ser::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::auth::Reach;

/// An event that may go out.
pub(crate) struct Shown {
    envelope: Arc<Envelope>,
    whole: bool,
}

impl Shown {
    /// To one with this reach.
    pub(crate) fn to(reach: &Reach, envelope: Arc<Envelope>) -> Self {
        let whole = match &envelope.event {
            Event::AgentForked { from, .. } => reach.reaches(from),
            _ => true,
        };
        Self { envelope, whole }
    }

    /// The wire form.
    pub(crate) fn json(&self) -> Cow<'_, str> {
        if self.whole { self.envelope.json().into() } else { self.without_parent().to_string().into() }
    }

    fn without_parent(&self) -> Value {
        let mut value = json!(*self.envelope);
        if let Some(event) = value.get_mut("event").and_then(Value::as_object_mut) {
            event.remove("from");
        }
        value
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.whole { self.envelope.serialize(to) } else { self.without_parent().serialize(to) }
    }
}
