//! The wire form of an event, which has its channel beside its type, and what schemas say of it.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Channel, Event};

#[derive(Serialize)]
struct Told<'a> {
    channel: Channel,
    #[serde(flatten)]
    event: &'a Event,
}

pub(super) fn serialize<S: Serializer>(event: &Event, to: S) -> Result<S::Ok, S::Error> {
    Told { channel: event.channel(), event }.serialize(to)
}

/// Says of each kind of event that its channel stands beside it.
pub(super) fn describe(schema: &mut Schema) {
    let channel = Channel::json_schema(&mut schemars::SchemaGenerator::default());
    let kinds = schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
    for kind in kinds {
        kind["properties"]["channel"] = channel.as_value().clone();
        if let Some(required) = kind["required"].as_array_mut() {
            required.push("channel".into());
        }
    }
}

/// Servers leave the name out for those who do not reach the agent.
pub(super) fn may_lack_from(schema: &mut Schema) {
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|field| field != "from");
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Event, D::Error> {
    Event::deserialize(from)
}
