//! The door: every request passes it before its handler, and goes on with who makes it.

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::auth::rights::{self, Need, Right};
use crate::auth::{Auth, Caller};
use crate::cluster::Forwarded;
use crate::error::ApiError;

/// Refuses those who do not say who they are, or may not do what they ask.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Some(path) = request.extensions().get::<MatchedPath>() else { return next.run(request).await };
    let right = match rights::need(request.method(), path.as_str()) {
        Need::Nothing => return next.run(request).await,
        Need::May(right) => right,
        Need::Stream => Right::Read,
    };
    let tickets = rights::need(request.method(), path.as_str()) == Need::Stream;
    let ticket = request.uri().query().filter(|_| tickets).and_then(ticket);
    // Another node asked already who it is.
    let told = request.extensions().get::<Forwarded>().map(|told| told.caller.clone());
    let admitted = match told {
        Some(caller) if caller.rights().has(right) => Ok(caller),
        Some(_) => Err(ApiError::forbidden(right.name())),
        None => admit(&app.config.auth, request.headers(), ticket, right),
    };
    match admitted {
        Ok(caller) => {
            tracing::Span::current().record("caller", caller.name());
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

fn admit(auth: &Auth, headers: &HeaderMap, ticket: Option<&str>, right: Right) -> Result<Caller, ApiError> {
    if !auth.asks() {
        return Ok(Caller::local());
    }
    let caller = match (bearer(headers)?, ticket) {
        (Some(token), _) => auth.bearer(token),
        (None, Some(ticket)) => auth.ticket(ticket),
        (None, None) => None,
    };
    let caller = caller.ok_or_else(ApiError::unauthorized)?;
    if let Some(meter) = caller.meter() {
        meter.request()?;
    }
    if caller.rights().has(right) { Ok(caller) } else { Err(ApiError::forbidden(right.name())) }
}

/// What stands after `Bearer`. Something else there is refused, as are two headers.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut told = headers.get_all(AUTHORIZATION).iter();
    match (told.next(), told.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => {
            let (scheme, token) =
                one.to_str().ok().and_then(|one| one.split_once(' ')).ok_or_else(ApiError::unauthorized)?;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            is_bearer.then(|| Some(token.trim())).ok_or_else(ApiError::unauthorized)
        }
        (Some(_), Some(_)) => Err(ApiError::unauthorized()),
    }
}

/// The ticket of a query. Tickets are digits, so nothing has to be decoded.
fn ticket(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("ticket="))
}
