//! The `Idempotency-Key` header: the caller's name for a request, and a digest of what came with it.

use axum::http::HeaderMap;
use kode_core::fact::IdempotencyKey;
use serde_json::Value;

use crate::error::ApiError;
use crate::hex;

/// Longest key.
const KEY_MAX: usize = 255;

/// The key of a request, if it has one.
pub(crate) fn key(headers: &HeaderMap, body: &Value) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(told) = headers.get("idempotency-key") else { return Ok(None) };
    let sane =
        (1..=KEY_MAX).contains(&told.len()) && told.as_bytes().iter().all(|b| (b' '..=b'~').contains(b));
    match told.to_str() {
        Ok(key) if sane => Ok(Some(IdempotencyKey { key: key.to_owned(), digest: digest(body) })),
        Ok(_) | Err(_) => Err(ApiError::bad_request(
            "invalid_idempotency_key",
            format!("an idempotency-key is 1 to {KEY_MAX} visible ASCII characters"),
        )),
    }
}

/// Equal for bodies that differ only in white space and in the order of fields.
fn digest(body: &Value) -> String {
    let mut canonical = String::new();
    write(body, &mut canonical);
    hex::sha256(canonical.as_bytes())
}

/// Fields in the order of their names, whatever order the map keeps.
fn write(value: &Value, to: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            to.push('{');
            for (name, value) in sorted {
                to.push_str(&Value::from(name.as_str()).to_string());
                to.push(':');
                write(value, to);
                to.push(',');
            }
            to.push('}');
        }
        Value::Array(items) => {
            to.push('[');
            for item in items {
                write(item, to);
                to.push(',');
            }
            to.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => to.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        digest(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_digest_is_of_what_is_said_and_not_of_how_it_is_written() {
        assert_eq!(of(r#"{"a":1,"b":{"d":[1,2],"c":null}}"#), of(r#" {"b": {"c":null, "d":[1,2]}, "a":1}"#));
        let different =
            [r#"{"a":"1"}"#, r#"{"a":1}"#, r#"{"a":[1]}"#, r#"{"a":[[1]]}"#, r#"{"a":1,"b":2}"#, "1"];
        let digests: std::collections::BTreeSet<String> = different.iter().map(|text| of(text)).collect();
        assert_eq!(digests.len(), different.len());
    }
}
