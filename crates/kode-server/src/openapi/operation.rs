//! One operation: what stands beside a handler and says what it takes and gives.

use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::auth::Need;
use crate::openapi::responses::{self, Answer, JSON, Make};
use crate::openapi::schemas::Schemas;

const SSE: &str = "text/event-stream";

/// The largest whole number that a JavaScript number holds, as every cursor is at most.
const MOST: u64 = (1 << 53) - 1;

/// One method of one path.
pub(crate) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<(Make, bool)>,
    answers: Vec<Answer>,
    refusals: Vec<&'static [&'static str]>,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let path_parameters = parameters_of(path);
        let (body, answers, refusals) = (None, Vec::new(), Vec::new());
        Self { method, path, id, summary, parameters: path_parameters, body, answers, refusals }
    }

    pub(crate) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("GET", path, id, summary)
    }

    pub(crate) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("POST", path, id, summary)
    }

    pub(crate) fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("PUT", path, id, summary)
    }

    pub(crate) fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("DELETE", path, id, summary)
    }

    /// A body that must be there.
    pub(crate) fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some((|schemas| schemas.body::<T>(), true));
        self.refuses(super::BODY)
    }

    /// A body that may be absent, which then counts as `{}`.
    pub(crate) fn may_take<T: JsonSchema>(mut self) -> Self {
        self.body = Some((|schemas| schemas.body::<T>(), false));
        self.refuses(super::BODY)
    }

    /// Parameters of the query: these fields of the type as which it is read.
    pub(crate) fn asks<T: JsonSchema>(mut self, fields: &[&str]) -> Self {
        let known = Schemas::fields::<T>();
        for name in fields {
            let (_, schema) = known.iter().find(|(known, _)| known == name).expect("the type has this field");
            self.parameters.push(query(name, schema.clone()));
        }
        self.refuses(&["invalid_query"])
    }

    /// The header by which a repeat is recognised.
    pub(crate) fn hears_idempotency_key(self) -> Self {
        let says =
            "A name for this request: a repeat gets the first answer and queues nothing, for 24 hours.";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" });
        self.hears("Idempotency-Key", says, schema)
    }

    /// The header by which a browser goes on where its stream broke off.
    pub(crate) fn hears_last_event_id(self, says: &'static str) -> Self {
        self.hears("Last-Event-ID", says, json!({ "type": "string", "pattern": "^[0-9]+$" }))
    }

    fn hears(mut self, name: &'static str, says: &'static str, schema: Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "header", "description": says, "schema": schema }));
        self
    }

    /// An answer with a JSON body.
    pub(crate) fn gives<T: JsonSchema>(self, status: u16, says: &'static str) -> Self {
        self.answers(status, says, Some((JSON, |schemas| schemas.answer::<T>())))
    }

    /// An answer without a body.
    pub(crate) fn gives_nothing(self, status: u16, says: &'static str) -> Self {
        self.answers(status, says, None)
    }

    /// An answer with a text.
    pub(crate) fn gives_text(self, kind: &'static str, says: &'static str) -> Self {
        self.answers(200, says, Some((kind, |_| json!({ "type": "string" }))))
    }

    /// An answer that goes on: frames `id: <cursor>` and `data: <envelope>`.
    pub(crate) fn streams(self, says: &'static str) -> Self {
        let frames: Make = |schemas| {
            let envelope = schemas.answer::<kode_core::event::Envelope>();
            json!({ "type": "string", "x-data": envelope,
                    "description": "Server-sent events: `id: <cursor>` and one line `data: <envelope>`, without `event:`." })
        };
        self.answers(200, says, Some((SSE, frames)))
    }

    fn answers(mut self, status: u16, says: &'static str, content: Option<(&'static str, Make)>) -> Self {
        self.answers.push(Answer { status, says, content });
        self
    }

    /// Codes of errors that it answers with.
    pub(crate) fn refuses(mut self, codes: &'static [&'static str]) -> Self {
        self.refusals.push(codes);
        self
    }

    /// As the document has it.
    pub(super) fn describe(self, need: Need, schemas: &mut Schemas) -> Value {
        let mut told = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag(self.path)],
            "responses": responses::all(&self.answers, &self.refusals, need, schemas),
        });
        if !self.parameters.is_empty() {
            told["parameters"] = self.parameters.into();
        }
        if let Some((schema, required)) = self.body {
            told["requestBody"] =
                json!({ "required": required, "content": { JSON: { "schema": schema(schemas) } } });
        }
        match need {
            Need::Nothing => told["security"] = json!([]),
            Need::Stream => told["security"] = json!([{ "key": [] }, { "ticket": [] }]),
            Need::May(right) => told["x-right"] = right.name().into(),
        }
        told
    }
}

/// The parameters that stand in a path.
fn parameters_of(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let parameter = |name: &str| {
        let schema = match name {
            "agentId" => Value::from(schemars::schema_for!(kode_core::id::AgentId)),
            _ => json!({ "type": "string", "pattern": "^[A-Za-z0-9._@~-]+$", "maxLength": 195,
                         "description": "A user of yours: the agent is `user:{userId}`." }),
        };
        json!({ "name": name, "in": "path", "required": true, "schema": plain(schema) })
    };
    names.map(parameter).collect()
}

fn query(name: &str, schema: Value) -> Value {
    let mut schema = plain(schema);
    let says = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
    if let Some(says) = says {
        parameter["description"] = says;
    }
    parameter
}

/// A schema for a text of a URL, which is never null and belongs to no file.
fn plain(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.remove("title");
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        // A whole number is never longer here than programs in any language can tell it.
        if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
            schema.insert("maximum".into(), MOST.into());
        }
        if let Some(types) = schema.get_mut("type") {
            let one = types.as_array().and_then(|types| types.iter().find(|kind| **kind != "null")).cloned();
            if let Some(one) = one {
                *types = one;
            }
        }
    }
    schema
}

/// The first word of a path that says what it is about.
fn tag(path: &str) -> &str {
    let mut parts = path.trim_start_matches('/').split('/');
    let first = parts.next().filter(|first| !first.is_empty()).unwrap_or("page");
    if first == "api" { parts.next().unwrap_or(first) } else { "server" }
}
