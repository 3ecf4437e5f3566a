//! The server's description of itself: it is the table of routes, it is committed, and it names every code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kode_server::auth::ROUTES;
use serde_json::Value;

use crate::world::World;

/// Codes of refusals that no request can come to: only a host's own input would.
const NEVER_TOLD: [&str; 2] = ["agent_has_history", "conflict"];
/// What makes an error, before its code.
const MAKERS: [&str; 9] = [
    "bad_request(",
    "not_found(",
    "conflict(",
    "unprocessable(",
    "internal(",
    "unavailable(",
    "too_many(",
    "Self::new(",
    "ApiError::new(",
];

#[test]
fn the_document_and_the_table_of_routes_agree() {
    let document = kode_server::openapi();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods: Vec<_> =
            methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    let described: BTreeSet<_> = document["paths"].as_object().unwrap().iter().flat_map(of_path).collect();
    let listed: BTreeSet<_> = ROUTES.iter().map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
    assert_eq!(described, listed);
}

#[test]
fn the_committed_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let fresh = format!("{}\n", serde_json::to_string_pretty(&kode_server::openapi()).unwrap());
    assert!(committed == fresh, "docs/openapi.json is not what the code says; run `cargo xtask codegen`");
}

#[tokio::test]
async fn the_server_tells_the_same_document() {
    let world = World::new();
    assert_eq!(world.get("/openapi.json").await.json, kode_server::openapi());
}

#[test]
fn names_are_unique_and_every_reference_leads_somewhere() {
    let document = kode_server::openapi();
    let mut ids = BTreeSet::new();
    let methods = document["paths"].as_object().unwrap().values();
    for operation in methods.flat_map(|path| path.as_object().unwrap().values()) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id}");
    }
    let mut references = Vec::new();
    gather(&document, &mut references);
    assert!(references.len() > 100);
    for place in references {
        let there = place.strip_prefix('#').and_then(|place| document.pointer(place));
        assert!(there.is_some(), "{place} leads nowhere");
    }
    assert!(!document.to_string().contains("[`"), "a link of rustdoc is none for others");
}

fn gather(value: &Value, to: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let ("$ref", Value::String(place)) = (name.as_str(), value) {
                    to.push(place.clone());
                }
                gather(value, to);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_code_of_the_sources_is_described_and_every_described_one_is_told() {
    let mut codes = BTreeSet::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for made in MAKERS {
            codes.extend(text.split(made).skip(1).filter_map(first_literal));
        }
    }
    let document = kode_server::openapi();
    let described = document["components"]["responses"].as_object().unwrap();
    let is_missing = |code: &&String| !described.contains_key(*code) && !NEVER_TOLD.contains(&code.as_str());
    let missing: Vec<_> = codes.iter().filter(is_missing).collect();
    assert!(codes.len() > 35, "{codes:?}");
    assert!(missing.is_empty(), "{missing:?}");
    for code in described.keys() {
        assert!(codes.contains(code), "{code} is told by nobody");
    }
}

/// The text with which what is in the parentheses begins, behind a status, if it looks like a code.
fn first_literal(call: &str) -> Option<String> {
    let (before, text) = call.split_once('"')?;
    let (text, _) = text.split_once('"')?;
    let is_first = before.split(',').count() <= 2 && !before.contains([')', ';', '}']);
    let is_code = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (is_first && is_code).then(|| text.to_owned())
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of_path = |path: PathBuf| match path.is_dir() {
        true if path.ends_with("openapi") => Vec::new(),
        true => sources(&path),
        false => vec![path],
    };
    paths.flat_map(of_path).collect()
}
