//! The server's description of itself: an OpenAPI 3.1 document, made of the table of routes, of what stands beside
//! each handler, and of the types that the handlers read and write.
//!
//! Shapes are never written down a second time here: a schema comes from the type that serde uses. What a route
//! does never belongs here.

mod operation;
mod refusals;
mod responses;
mod schemas;

use serde_json::{Map, Value, json};

pub(crate) use self::operation::Operation;
pub(crate) use self::refusals::{
    BODY, FORK, IDENTIFIED, KEYED, LISTED, LOOKED_UP, MADE, READ, SENT, TAKEN_UP, TODOS, WATCHED,
};
use self::schemas::Schemas;
use crate::auth::{Need, ROUTES, Route};
use crate::routes;

/// Said of the whole.
const ABOUT: &str = "Agents of many users over HTTP. Every error has one shape, with a stable `code`; every answer has \
`x-request-id`, which a request may bring. A new code, field or kind of event may come with any version, so pass over \
what you do not know; what is there stays as it is.";

/// The document. Made anew by each call, from nothing that changes while a process runs.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for operation in routes::operations() {
        let need = need(&operation);
        let method = operation.method.to_lowercase();
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[method] = operation.describe(need, &mut schemas);
    }
    let security = json!({
        "key": { "type": "http", "scheme": "bearer",
                 "description": "A key, or a token: a JWT signed with HS256. Not asked for while the server is open to loopback only." },
        "ticket": { "type": "apiKey", "in": "query", "name": "ticket",
                    "description": "From `POST /api/stream-tickets`, for those who cannot send headers." },
    });
    let responses = responses::shared(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": { "title": "kode", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
                  "license": { "name": "MIT OR Apache-2.0" } },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": responses,
            "securitySchemes": security,
            "headers": headers(),
        },
    })
}

/// What the table of routes asks of the caller; one that is not in it is the operator's.
fn need(operation: &Operation) -> Need {
    let is = |route: &&Route| route.method == operation.method && route.path == operation.path;
    ROUTES.iter().find(is).map_or(Need::May(crate::auth::Right::Admin), |route| route.need)
}

fn headers() -> Value {
    json!({
        "x-request-id": { "required": true, "schema": { "type": "string" },
                          "description": "The request's own, where it is up to 128 of `A-Z a-z 0-9 - _ . :`, else a fresh one." },
        "retry-after": { "required": true, "schema": { "type": "integer", "minimum": 1 },
                         "description": "Seconds after which the same request may do." },
        "www-authenticate": { "required": true, "schema": { "type": "string" } },
        "allow": { "required": true, "schema": { "type": "string" } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_is_written_otherwise_than_it_is_read() {
        let mut schemas = Schemas::new();
        for operation in routes::operations() {
            operation.describe(Need::Nothing, &mut schemas);
        }
        assert_eq!(schemas.torn(), [""; 0]);
    }

    #[test]
    fn every_code_of_a_group_is_one() {
        let groups =
            [BODY, FORK, IDENTIFIED, KEYED, LISTED, LOOKED_UP, MADE, READ, SENT, TAKEN_UP, TODOS, WATCHED];
        for code in groups.into_iter().flatten() {
            assert!(refusals::CODES.iter().any(|known| known.code == *code), "{code}");
        }
    }
}
