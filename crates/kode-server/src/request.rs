//! What surrounds every request: its id, its span, the body of its error, and the wall that a panic in a
//! handler does not pass.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use tracing::field::Empty;

use crate::app::App;
use crate::cluster::FromPeer;
use crate::error::ApiError;
use crate::trace;

/// The header that carries a request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a caller.
const ID_MAX: usize = 128;

/// Runs a request within its id and span, and writes the body of its error, if it has one.
pub(crate) async fn frame(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (began, method) = (Instant::now(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = id_of(request.headers());
    let text = id.to_str().unwrap_or_default().to_owned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let traced = trace::begin(&app, method.as_str(), route, &text, request.headers_mut());
    // So that a request that is forwarded is the same one there.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    // Never the query: a ticket is in it.
    let path = request.uri().path();
    let span = tracing::info_span!("request", id = text, method = %request.method(), path, caller = Empty);
    let run = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone());
    let response = run.await.unwrap_or_else(|_| {
        ApiError::internal("internal", "something failed inside the server").into_response()
    });
    let mut response = with_body(response, &text);
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    if let Some(traced) = traced {
        traced.end(response.status().as_u16());
    }
    app.config.metrics.answered(&method, route, response.status(), began.elapsed());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn with_body(response: Response, request_id: &str) -> Response {
    let status = response.status();
    let framework =
        || (status.is_client_error() || status.is_server_error()).then(|| ApiError::of_status(status));
    // Another node has written it already, under the same id.
    if response.extensions().get::<FromPeer>().is_some() {
        return response;
    }
    match response.extensions().get::<ApiError>().cloned().or_else(framework) {
        Some(error) => error.render(response, request_id),
        None => response,
    }
}

/// The caller's id where it is a sane one, else a fresh one.
fn id_of(headers: &HeaderMap) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        (1..=ID_MAX).contains(&id.len())
            && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
    };
    let fresh = || ulid::Ulid::generate().to_string().to_lowercase();
    headers
        .get(REQUEST_ID)
        .filter(sane)
        .cloned()
        .unwrap_or_else(|| HeaderValue::try_from(fresh()).expect("a ulid is letters and digits"))
}
