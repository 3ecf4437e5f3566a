//! A JSON value to read from, in which a thing with named fields is an object. Serde itself would take an array for it,
//! its values in the order in which the fields happen to be declared, and that at any depth.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// The value, read strictly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strict<'a>(pub(crate) &'a Value);

impl<'de> Strict<'de> {
    fn object<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Object(fields) = self.0 else { return Err(Error::invalid_type(self.kind(), &visitor)) };
        let mut fields =
            MapDeserializer::new(fields.iter().map(|(name, value)| (name.as_str(), Strict(value))));
        let read = visitor.visit_map(&mut fields)?;
        fields.end()?;
        Ok(read)
    }

    fn array<V: Visitor<'de>>(self, values: &'de [Value], visitor: V) -> Result<V::Value, Error> {
        let mut values = SeqDeserializer::new(values.iter().map(Strict));
        let read = visitor.visit_seq(&mut values)?;
        values.end()?;
        Ok(read)
    }

    fn kind(self) -> Unexpected<'de> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(yes) => Unexpected::Bool(*yes),
            Value::Number(_) => Unexpected::Other("number"),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Strict<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(values) => self.array(values, visitor),
            Value::Object(_) => self.object(visitor),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.0.deserialize_any(visitor)
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        id: String,
        count: Option<u8>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        list: Vec<Inner>,
        one: Option<Inner>,
        #[serde(default)]
        any: BTreeMap<String, Value>,
        pair: Option<(u8, String)>,
    }

    fn read(value: &Value) -> Result<Outer, String> {
        Outer::deserialize(Strict(value)).map_err(|why| why.to_string())
    }

    #[test]
    fn what_is_an_object_is_read_as_serde_json_reads_it() {
        let value = json!({
            "list": [{ "id": "a", "count": 1 }, { "id": "b" }], "one": { "id": "c", "count": null },
            "any": { "x": [["free"], 1.5, { "y": null }] }, "pair": [1, "two"],
        });
        assert_eq!(read(&value), serde_json::from_value(value).map_err(|why| why.to_string()));
    }

    #[test]
    fn an_array_is_no_object_at_any_depth() {
        let arrays = [json!([[], null, {}, null]), json!({ "list": [["a", 1]] }), json!({ "one": ["a", 1] })];
        for value in arrays {
            assert!(serde_json::from_value::<Outer>(value.clone()).is_ok(), "serde takes {value}");
            let said = read(&value).unwrap_err();
            assert!(said.starts_with("invalid type: sequence, expected struct"), "{said}");
        }
        assert!(read(&json!({ "one": { "id": 1 } })).unwrap_err().contains("expected a string"));
        assert!(read(&json!({ "other": 1 })).unwrap_err().contains("unknown field `other`"));
        assert!(read(&json!({ "pair": [1, "two", 3] })).is_err(), "nothing is left over");
    }
}
