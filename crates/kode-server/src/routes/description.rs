//! The OpenAPI document.

use std::sync::OnceLock;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use schemars::JsonSchema;

use crate::app::App;
use crate::openapi::{self, Operation};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/openapi.json", get(document))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/openapi.json", "getDescription", "This document.")
            .gives::<Document>(200, "An OpenAPI 3.1 document."),
    ]
}

/// What is told of the document within itself.
#[derive(JsonSchema)]
#[schemars(inline, extend("required" = ["openapi", "info", "paths", "components"]))]
struct Document {}

async fn document() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| openapi::document().to_string());
    ([(CONTENT_TYPE, "application/json")], text.as_str())
}
