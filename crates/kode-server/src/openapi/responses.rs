//! The answers of an operation: those with which it goes well, and those with the codes of errors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::auth::Need;
use crate::error::ErrorBody;
use crate::openapi::refusals::{ANY, CODES, GUARDED, Refusal};
use crate::openapi::schemas::Schemas;

/// The kind of nearly every body.
pub(super) const JSON: &str = "application/json";

/// Makes the schema of a type, once there is a place for it.
pub(super) type Make = fn(&mut Schemas) -> Value;

/// One way in which it goes well.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) content: Option<(&'static str, Make)>,
}

/// All answers: its own, its refusals, and those of the door before it.
pub(super) fn all(
    answers: &[Answer],
    own: &[&'static [&'static str]],
    need: Need,
    schemas: &mut Schemas,
) -> Value {
    let mut told = Map::new();
    for Answer { status, says, content } in answers {
        let known = told.entry(status.to_string());
        let response = known.or_insert_with(|| json!({ "description": says, "headers": headers(*status) }));
        if let Some((kind, schema)) = content {
            response["content"][*kind] = json!({ "schema": schema(schemas) });
        }
    }
    for (status, refused) in refused(own, need) {
        // One that stands alone is the same wherever it does, and is described once.
        let response = match refused.as_slice() {
            [one] => json!({ "$ref": format!("#/components/responses/{}", one.code) }),
            several => refusal(several, schemas),
        };
        told.insert(status.to_string(), response);
    }
    told.into()
}

/// The answers that several operations refer to: those with one code.
pub(super) fn shared(schemas: &mut Schemas) -> Map<String, Value> {
    CODES.iter().map(|one| (one.code.to_owned(), refusal(&[one], schemas))).collect()
}

fn refused(own: &[&'static [&'static str]], need: Need) -> BTreeMap<u16, Vec<&'static Refusal>> {
    let door = if need == Need::Nothing { ANY } else { GUARDED };
    let codes: Vec<&str> = own.iter().copied().flatten().chain(door).copied().collect();
    let mut by_status: BTreeMap<u16, Vec<&Refusal>> = BTreeMap::new();
    for refusal in CODES.iter().filter(|refusal| codes.contains(&refusal.code)) {
        by_status.entry(refusal.status).or_default().push(refusal);
    }
    by_status
}

/// The answer with one of these codes, which share a status.
fn refusal(refused: &[&Refusal], schemas: &mut Schemas) -> Value {
    let error = schemas.answer::<ErrorBody<'_>>();
    let status = refused.first().map_or(500, |one| one.status);
    let codes: Vec<&str> = refused.iter().map(|one| one.code).collect();
    let lines: Vec<String> = refused.iter().map(|one| format!("`{}`: {}", one.code, one.says)).collect();
    let schema = json!({ "$ref": error["$ref"], "properties": { "code": { "enum": codes } } });
    json!({
        "description": lines.join("\n\n"),
        "headers": headers(status),
        "content": { JSON: { "schema": schema } },
    })
}

/// The headers of an answer with this status.
fn headers(status: u16) -> Value {
    let own = match status {
        401 => Some("www-authenticate"),
        405 => Some("allow"),
        429 | 503 => Some("retry-after"),
        _ => None,
    };
    let reference = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    own.into_iter().chain(["x-request-id"]).map(reference).collect::<Map<_, _>>().into()
}
