//! The schemas of the types that are read and written. JSON Schema 2020-12 is the dialect of OpenAPI 3.1, so they
//! stand in the document as they are.

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// What is written is told apart from what is read: a field that may be left out when it is sent may well be in
/// every answer.
pub(crate) struct Schemas {
    written: SchemaGenerator,
    read: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let of = |contract| {
            let settings = SchemaSettings::draft2020_12();
            let settings = settings.with(|s| {
                s.definitions_path = "/components/schemas".into();
                s.contract = contract;
            });
            settings.into_generator()
        };
        Self { written: of(Contract::Serialize), read: of(Contract::Deserialize) }
    }

    /// Of a type that an answer has.
    pub(super) fn answer<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().into()
    }

    /// Of a type that a body is read as.
    pub(super) fn body<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().into()
    }

    /// The fields of a type that a query is read as: their schemas, and whether they must be there.
    pub(super) fn fields<T: JsonSchema>() -> Vec<(String, Value)> {
        let mut schema: Value = Self::new().read.into_root_schema_for::<T>().into();
        let fields = schema["properties"].as_object_mut().map(std::mem::take).unwrap_or_default();
        fields.into_iter().collect()
    }

    /// All of them, by their names.
    pub(super) fn all(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }

    /// Names of types that are written otherwise than they are read, which one name cannot stand for.
    #[cfg(test)]
    pub(super) fn torn(mut self) -> Vec<String> {
        let (read, written) = (self.read.take_definitions(true), self.written.take_definitions(true));
        read.into_iter()
            .filter(|(name, schema)| written.get(name).is_some_and(|w| w != schema))
            .map(|(n, _)| n)
            .collect()
    }
}
