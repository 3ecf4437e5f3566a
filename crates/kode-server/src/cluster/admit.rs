//! Before the door: a request that a peer forwards is taken as such if it proves that it comes from one.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::proof::{PROOF, Signed, TOLD, Unproven};
use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::whole;

/// That a request comes from a peer, and who made it there. It is not forwarded again.
#[derive(Clone)]
pub(crate) struct Forwarded {
    pub(crate) caller: Caller,
}

/// Takes the proof of a forwarded request. One that only says that it is forwarded is refused.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // Only this gives it.
    request.extensions_mut().remove::<Forwarded>();
    if !request.headers().contains_key(TOLD) && !request.headers().contains_key(PROOF) {
        return next.run(request).await;
    }
    match proven(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn proven(app: &App, request: Request) -> Result<Request, ApiError> {
    let Some(cluster) = &app.config.cluster else { return Err(refusal("this server forwards nothing")) };
    let (mut parts, body) = request.into_parts();
    let body = whole(body, app).await?;
    let (told, proof) = (one(&parts.headers, &TOLD)?, one(&parts.headers, &PROOF)?);
    let key = parts.headers.get("idempotency-key").map_or(Ok(""), |key| key.to_str());
    let key = key.map_err(|_| refusal(&Unproven::Forged.to_string()))?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let signed = Signed { method: &parts.method, path, key, body: &body };
    let runtime = app.pool.runtime();
    let checked = cluster.secret.check(&signed, (told, proof), (runtime.holder(), runtime.clock().now()));
    let told = checked.map_err(|why| {
        tracing::warn!(%why, "a forwarded request was refused");
        refusal(&why.to_string())
    })?;
    let caller = app.config.auth.admit(told.caller).ok_or_else(|| refusal("it tells of no caller"))?;
    tracing::debug!(from = told.from, caller = caller.name(), "a peer forwards");
    parts.extensions.insert(Forwarded { caller });
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn one<'h>(headers: &'h HeaderMap, name: &axum::http::HeaderName) -> Result<&'h str, ApiError> {
    let mut told = headers.get_all(name).iter();
    match (told.next(), told.next()) {
        (Some(one), None) => one.to_str().map_err(|_| refusal(&Unproven::Forged.to_string())),
        _ => Err(refusal(&Unproven::Forged.to_string())),
    }
}

fn refusal(why: &str) -> ApiError {
    let message = format!("the request says that a node of the cluster forwards it; {why}");
    ApiError::new(axum::http::StatusCode::FORBIDDEN, "forwarding_refused", message)
}
