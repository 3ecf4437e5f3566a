//! The way to another node: one request and its whole answer. What the answer means is [`super::route`]'s to say.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use kode_core::store::Node;
use serde_json::Value;

use super::proof::{PROOF, TOLD};
use crate::error::ApiError;
use crate::request::REQUEST_ID;
use crate::trace::TRACEPARENT;

/// How long a peer may take to take a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// The code by which a peer says that it does not trust this node.
const REFUSED: &str = "forwarding_refused";
/// The codes by which a peer says that the agent may be elsewhere in a moment.
const ELSEWHERE: [&str; 2] = [NOT_READY, DRAINING];
const NOT_READY: &str = "not_ready";
const DRAINING: &str = "draining";

/// The client to all peers.
#[derive(Clone)]
pub(super) struct Peers(reqwest::Client);

/// A response that another node wrote: its body is not written anew.
#[derive(Clone, Copy)]
pub(crate) struct FromPeer;

/// A request as it is forwarded.
pub(super) struct Outgoing<'r> {
    pub(super) method: &'r Method,
    pub(super) path: &'r str,
    pub(super) key: Option<&'r HeaderValue>,
    pub(super) request_id: Option<&'r HeaderValue>,
    pub(super) trace: Option<&'r HeaderValue>,
    pub(super) body: &'r Bytes,
}

/// What came of it.
pub(super) enum Outcome {
    /// The peer's answer.
    Answered(Answer),
    /// It was not taken: the peer does not have the agent any more, or takes nothing.
    Elsewhere,
    /// It did not get there.
    Unreached,
    /// The line broke off: nobody knows.
    Unknown,
    /// The peer does not trust this node, and says why.
    Refused(String),
}

/// A peer's answer.
pub(super) struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    retry_after: Option<HeaderValue>,
    body: Bytes,
}

impl Peers {
    pub(super) fn new() -> std::io::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .build();
        client.map(Self).map_err(std::io::Error::other)
    }

    /// Sends a request to a peer, with its proof. Waits for as long as the peer takes.
    pub(super) async fn forward(
        &self,
        node: &Node,
        request: &Outgoing<'_>,
        (told, proof): (String, String),
    ) -> Outcome {
        let url = format!("{}{}", node.url.trim_end_matches('/'), request.path);
        let mut sending = self
            .0
            .request(request.method.clone(), url)
            .header(TOLD, told)
            .header(PROOF, proof)
            .header(ACCEPT, "application/json");
        if !request.body.is_empty() {
            sending = sending.header(CONTENT_TYPE, "application/json").body(request.body.clone());
        }
        let named: [(HeaderName, _); 3] = [
            (HeaderName::from_static("idempotency-key"), request.key),
            (REQUEST_ID, request.request_id),
            (TRACEPARENT, request.trace),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                sending = sending.header(name, value);
            }
        }
        match sending.send().await {
            Ok(answer) => read(answer).await,
            Err(error) if error.is_connect() || error.is_builder() => {
                tracing::debug!(node = node.id, %error, "a peer was not reached");
                Outcome::Unreached
            }
            Err(error) => {
                tracing::debug!(node = node.id, %error, "a peer gave no answer");
                Outcome::Unknown
            }
        }
    }
}

async fn read(answer: reqwest::Response) -> Outcome {
    let status = answer.status();
    let header = |name| answer.headers().get(name).cloned();
    let (kind, retry_after) = (header(CONTENT_TYPE), header(RETRY_AFTER));
    let Ok(body) = answer.bytes().await else { return Outcome::Unknown };
    let error = || {
        let error: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("error"))
    };
    match status {
        StatusCode::FORBIDDEN if error().0 == REFUSED => Outcome::Refused(error().1),
        StatusCode::SERVICE_UNAVAILABLE if ELSEWHERE.contains(&error().0.as_str()) => Outcome::Elsewhere,
        status => Outcome::Answered(Answer { status, kind, retry_after, body }),
    }
}

impl Answer {
    /// A field of what the peer says, where it says that all is well.
    pub(super) fn told<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        self.status.is_success().then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    pub(super) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The same answer, for whoever asked here.
    pub(super) fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in [(CONTENT_TYPE, self.kind), (RETRY_AFTER, self.retry_after)] {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        response.extensions_mut().insert(FromPeer);
        response
    }
}

/// What an answer of a handler here says: that the agent may be elsewhere in a moment.
pub(super) fn is_elsewhere(response: &Response) -> bool {
    refuses_as(response, NOT_READY)
}

/// The same: that this node takes nobody in any more.
pub(super) fn is_draining(response: &Response) -> bool {
    refuses_as(response, DRAINING)
}

fn refuses_as(response: &Response, code: &str) -> bool {
    response.extensions().get::<ApiError>().is_some_and(|error| error.code == code)
}
