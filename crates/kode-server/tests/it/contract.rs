//! Holds answers against the OpenAPI document: every answer that a test of this binary gets through the router, and
//! every event of a stream.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Body;
use axum::http::response::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jsonschema::Validator;
use serde_json::{Value, json};

/// The document, made strict: an answer has no field that it does not name.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = kode_server::openapi();
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for schema in schemas.values_mut() {
        close(schema);
        let kinds = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        kinds.into_iter().flatten().for_each(close);
    }
    document
});

static ENVELOPE: LazyLock<Validator> =
    LazyLock::new(|| validator(&json!({ "$ref": "#/components/schemas/Envelope" })));
static ERROR: LazyLock<Validator> =
    LazyLock::new(|| validator(&json!({ "$ref": "#/components/schemas/Error" })));

fn close(schema: &mut Value) {
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = json!(false);
    }
}

fn validator(schema: &Value) -> Validator {
    let whole = json!({ "allOf": [schema], "components": STRICT["components"] });
    jsonschema::validator_for(&whole).unwrap()
}

/// The validator of a schema, made once: that takes longer than most tests.
fn known_validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap();
    known.entry(schema.to_string()).or_insert_with(|| Arc::new(validator(schema))).clone()
}

fn wrongs(validator: &Validator, body: &Value) -> Vec<String> {
    validator.iter_errors(body).map(|error| format!("{error} at {}", error.instance_path())).collect()
}

/// The operation of a request, with the template of its path.
fn operation(method: &Method, path: &str) -> Option<(&'static str, &'static Value)> {
    let fits = |template: &str| {
        let (known, asked): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        let same =
            |(known, asked): (&&str, &str)| *known == asked || (known.starts_with('{') && !asked.is_empty());
        known.len() == asked.len() && known.iter().zip(asked).all(same)
    };
    let paths: BTreeMap<_, _> = STRICT["paths"].as_object().unwrap().iter().collect();
    // A path without parameters wins, as it does in the router.
    let named = paths.iter().find(|(template, _)| template.as_str() == path);
    let (template, methods) = named.or_else(|| paths.iter().find(|(template, _)| fits(template)))?;
    let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    Some((template.as_str(), methods.get(&method)?))
}

/// What the document says, wherever it stands.
fn resolved(told: &'static Value) -> &'static Value {
    match told["$ref"].as_str() {
        Some(place) => STRICT.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => told,
    }
}

/// The answer, if it is one that the document describes: status, headers, kind, body and code.
pub(crate) async fn hold(method: &Method, path: &str, response: Response) -> Response {
    let (head, body) = response.into_parts();
    let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::to_owned);
    // A stream is read by who asked for it.
    let (whole, body) = if kind.as_deref() == Some("text/event-stream") {
        (Bytes::new(), body)
    } else {
        let whole = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        (whole.clone(), Body::from(whole))
    };
    hold_whole(method, path, &head, kind.as_deref(), &whole);
    Response::from_parts(head, body)
}

fn hold_whole(method: &Method, path: &str, head: &Parts, kind: Option<&str>, whole: &Bytes) {
    let what = format!("{method} {path} {}", head.status);
    let json = || serde_json::from_slice(whole).unwrap_or(Value::Null);
    let Some((template, operation)) = operation(method, path) else {
        if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&head.status) {
            assert!(method == Method::HEAD || ERROR.is_valid(&json()), "{what}: {}", json());
        }
        return;
    };
    let told = operation["responses"].get(head.status.as_str());
    let told =
        resolved(told.unwrap_or_else(|| panic!("{what}: {template} does not name the status: {whole:?}")));
    for (name, header) in told["headers"].as_object().into_iter().flatten() {
        let needed = resolved(header)["required"] == true;
        assert!(!needed || head.headers.contains_key(name), "{what} has no {name}");
    }
    match (kind, told["content"].as_object()) {
        (None, None) => assert!(whole.is_empty(), "{what} has a body"),
        (Some(kind), Some(content)) => {
            let told = content.get(kind).unwrap_or_else(|| panic!("{what} is a {kind}, which is not named"));
            if kind == "application/json" && method != Method::HEAD {
                let wrong = wrongs(&known_validator(&told["schema"]), &json());
                assert!(wrong.is_empty(), "{what}: {wrong:?} in {}", json());
            }
        }
        (kind, told) => panic!("{what}: the kind of the body is {kind:?}, and {told:?} is described"),
    }
}

/// An event as streams and pages have it.
pub(crate) fn hold_envelope(envelope: &Value) {
    let wrong = wrongs(&ENVELOPE, envelope);
    assert!(wrong.is_empty(), "{wrong:?} in {envelope}");
}
