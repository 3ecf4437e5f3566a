//! Errors as the outside sees them: a status, a stable code, a sentence. Where one happens it is only
//! attached to the response; [`crate::request`] writes the body, as it alone knows the request's id.

use axum::http::StatusCode;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::response::{IntoResponse, Response};
use kode_core::id::Cursor;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Seconds after which the same request may do.
    pub(crate) retry_after: Option<u32>,
    /// The oldest cursor from which there still is everything.
    pub(crate) oldest: Option<Cursor>,
}

/// What every error answer has.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody<'a> {
    #[schemars(extend("const" = false))]
    success: bool,
    /// What and why, for a person.
    error: &'a str,
    /// For programs.
    code: &'a str,
    /// The request's, as in the header `x-request-id`.
    request_id: &'a str,
    /// With `cursor_expired`: the first cursor that is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Cursor>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, oldest: None }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Nobody known asks. Whether anything was shown, and what is wrong with it, is not told.
    pub(crate) fn unauthorized() -> Self {
        let message = "show who you are: a key or a token, in the header authorization: Bearer …";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// The caller may not do this, to any agent.
    pub(crate) fn forbidden(right: &str) -> Self {
        let message = format!("this takes the right {right:?}, which this key or token does not have");
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// The events behind a cursor are forgotten.
    pub(crate) fn expired(oldest: Cursor) -> Self {
        let message =
            format!("the events from this cursor on are older than what is kept; begin at {oldest}, or at 0");
        Self { oldest: Some(oldest), ..Self::new(StatusCode::GONE, "cursor_expired", message) }
    }

    /// Not now; the same request may do after so many seconds.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>, retry_after: u32) -> Self {
        let refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { retry_after: Some(retry_after), ..refused }
    }

    /// More than one agent takes; the same request may do after so many seconds.
    pub(crate) fn too_many(code: &'static str, message: impl Into<String>, retry_after: u32) -> Self {
        let refused = Self::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        Self { retry_after: Some(retry_after), ..refused }
    }

    pub(crate) fn internal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
    }

    /// The answer for a name that no agent has.
    pub(crate) fn no_agent(id: impl std::fmt::Display) -> Self {
        Self::not_found("agent_not_found", format!("there is no agent {id}; send it a message to create it"))
    }

    /// An error of the framework's own, which has only a status.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("not_found", "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "method_not_allowed",
                "this path does not take this method; see the allow header",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "too_large", "the request is too large"),
            status if status.is_client_error() => {
                Self::new(status, "bad_request", "the request could not be read")
            }
            status => Self::new(status, "internal", "something failed inside the server"),
        }
    }

    /// Whether the rest of the request's body is not read: a client must not send its next request behind it.
    fn leaves_body_unread(&self) -> bool {
        matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT)
    }

    /// Gives a response of this error its body.
    pub(crate) fn render(&self, response: Response, request_id: &str) -> Response {
        let (code, oldest) = (self.code, self.oldest);
        let body = ErrorBody { success: false, error: &self.message, code, request_id, oldest };
        let (mut head, _) = response.into_parts();
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(secs) = self.retry_after {
            head.headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            head.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kode\""));
        }
        if self.leaves_body_unread() {
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let body = serde_json::to_string(&body).expect("an error body is a few plain fields");
        Response::from_parts(head, body.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
