//! What handlers take out of a request. Each refusal is an [`ApiError`] that names what is wrong.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kode_core::id::AgentId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::App;
use crate::auth::{Caller, Reached};
use crate::error::ApiError;
use crate::strict::Strict;

/// The agent that the path names, which the caller reaches.
pub(crate) struct AgentPath(pub(crate) Reached);

/// The user that the path names, a part of an agent id, and who asks for an agent of that user's.
pub(crate) struct UserPath {
    user: AgentId,
    caller: Caller,
}

/// The query.
pub(crate) struct ApiQuery<T>(pub(crate) T);

/// A JSON body, as what it must be and as what came.
pub(crate) struct ApiJson<T>(pub(crate) T, pub(crate) Value);

/// A JSON body that may be absent, which then counts as `{}`.
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// An agent that someone named, if the caller reaches it.
pub(crate) fn agent(caller: &Caller, text: &str) -> Result<Reached, ApiError> {
    caller.reached(agent_id(text)?)
}

/// A name as a place in the order of names, where a page begins: nothing is looked up by it.
pub(crate) fn place(text: &str) -> Result<AgentId, ApiError> {
    agent_id(text)
}

/// Checks a name that someone sent.
fn agent_id(text: &str) -> Result<AgentId, ApiError> {
    AgentId::new(text).map_err(|why| ApiError::bad_request("invalid_agent_id", why.to_string()))
}

impl UserPath {
    /// The user's agent, or that of one of the user's sessions. An empty session is none.
    pub(crate) fn agent(&self, session: Option<&str>) -> Result<Reached, ApiError> {
        let agent = match session.filter(|session| !session.is_empty()) {
            Some(session) if session.contains(':') => {
                return Err(ApiError::bad_request("invalid_agent_id", "a sessionId must not have ':' in it"));
            }
            Some(session) => agent_id(&format!("{}:session:{session}", self.user))?,
            None => self.user.clone(),
        };
        self.caller.reached_as(&self.user, agent)
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AgentPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        agent(&caller, &parameter(parts, state).await?).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let user = parameter(parts, state).await?;
        if user.contains(':') {
            return Err(ApiError::bad_request("invalid_agent_id", "a userId must not have ':' in it"));
        }
        Ok(Self { user: agent_id(&format!("user:{user}"))?, caller })
    }
}

/// The one parameter of the path, decoded.
async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, ApiError> {
    let refused = || ApiError::bad_request("invalid_agent_id", "the id in the path is not UTF-8");
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| refused())?;
    let first = params.iter().next().map(|(_, value)| value.to_owned());
    Ok(first.unwrap_or_default())
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(query) = Query::try_from_uri(&parts.uri)
            .map_err(|why| ApiError::bad_request("invalid_query", why.body_text()))?;
        Ok(Self(query))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        must_be_json(request.headers())?;
        let value = parse(&read(request, app).await?)?;
        Ok(Self(shape(&value)?, value))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let body = read(request, app).await?;
        if body.is_empty() {
            return shape(&Value::Object(serde_json::Map::new())).map(Self);
        }
        must_be_json(&headers)?;
        shape(&parse(&body)?).map(Self)
    }
}

fn must_be_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let told = headers.get(CONTENT_TYPE).and_then(|told| told.to_str().ok()).unwrap_or_default();
    let kind = told.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "the body must be JSON, with the header content-type: application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    whole(request.into_body(), app).await
}

/// All of a body, within the limits of size and time.
pub(crate) async fn whole(body: Body, app: &App) -> Result<Bytes, ApiError> {
    let (limit, wait) = (app.config.body_limit, app.config.body_timeout);
    let body = Limited::new(body, limit).collect();
    match tokio::time::timeout(wait, body).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a body has at most {limit} bytes"),
        )),
        Ok(Err(_)) => Err(ApiError::bad_request("bad_request", "the body broke off")),
        Err(_) => Err(too_slow(wait)),
    }
}

fn too_slow(wait: Duration) -> ApiError {
    let message = format!("the body did not come within {} s", wait.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
}

fn parse(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body)
        .map_err(|why| ApiError::bad_request("bad_json", format!("the body is not JSON: {why}")))
}

/// Fits a value into what is asked for; the refusal begins with the field.
fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, ApiError> {
    if !value.is_object() {
        return Err(ApiError::unprocessable("invalid_request", "the body must be a JSON object"));
    }
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let (at, why) = (error.path().to_string(), error.inner());
        let message = if at == "." { why.to_string() } else { format!("{at}: {why}") };
        ApiError::unprocessable("invalid_request", message)
    })
}
