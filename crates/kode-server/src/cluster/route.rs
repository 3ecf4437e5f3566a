//! Behind the door: a request that changes an agent is run here, or forwarded to the node that has the agent.
//!
//! A node that dies, drains or loses an agent in the middle is no error yet: the request waits until it is known who
//! has the agent, for about the time of a lease, and goes there, or runs here. A message gets a key when it first
//! leaves this node, so that it is queued once, however often it is sent.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use kode_core::id::{AgentId, Cursor, MessageId};
use kode_core::store::Node;
use kode_pool::Route;
use serde::Deserialize;
use tokio::time::Instant;

use super::peer::{Answer, Outcome, Outgoing, is_draining, is_elsewhere};
use super::proof::{Signed, Told};
use super::subject::{self, Owned};
use super::{Cluster, Forwarded};
use crate::app::App;
use crate::auth::{Caller, Passport, Reached};
use crate::error::ApiError;
use crate::extract::whole;
use crate::position::EventsQuery;
use crate::request::REQUEST_ID;
use crate::routes::wants_stream;
use crate::sse;
use crate::trace::TRACEPARENT;

/// Between two looks at who has an agent.
const LOOK: Duration = Duration::from_millis(25);
/// How often it is looked whether a peer that has not answered yet still has the agent, at most and at least.
const STILL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How much longer than a lease lasts a request waits for somebody to have its agent.
const SLACK: Duration = Duration::from_secs(2);
/// The caller's name for a message.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Runs a request here, or at the node that it belongs to.
pub(crate) async fn route(State(app): State<App>, request: Request, next: Next) -> Response {
    let owned = request.extensions().get::<MatchedPath>();
    let owned = owned.and_then(|path| subject::find(request.method(), path.as_str()));
    let (Some(cluster), Some(owned)) = (&app.config.cluster, owned) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let body = match whole(body, &app).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let Some(subject) = Subject::of(owned, parts.clone(), &body).await else {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    };
    let peer = parts.extensions.get::<Forwarded>().is_some();
    let routing = Routing { app: &app, cluster, owned, subject, parts, body, next, uncertain: false };
    if peer { routing.once().await } else { routing.run().await }
}

/// The agent of a request, and who asks.
struct Subject {
    agent: Reached,
    caller: Caller,
    passport: Passport,
}

impl Subject {
    /// None where the handler is to say what is wrong.
    async fn of(owned: &Owned, mut parts: Parts, body: &[u8]) -> Option<Self> {
        let caller = parts.extensions.get::<Caller>()?.clone();
        let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok()?;
        let parameter = params.iter().next().map_or("", |(_, value)| value);
        let agent = AgentId::new(subject::agent(owned.named, parameter, body)?).ok()?;
        let (agent, passport) = (caller.reached(agent).ok()?, caller.passport()?);
        Some(Self { agent, caller, passport })
    }
}

/// One request on its way.
struct Routing<'r> {
    app: &'r App,
    cluster: &'r Cluster,
    owned: &'static Owned,
    subject: Subject,
    parts: Parts,
    body: Bytes,
    next: Next,
    /// Whether a peer may have done it that gave no answer.
    uncertain: bool,
}

impl Routing<'_> {
    /// A peer's request: it runs here, or the peer looks again.
    async fn once(self) -> Response {
        match self.app.pool.route(&self.subject.agent).await {
            Ok(Route::There(_) | Route::Nowhere) => elsewhere().into_response(),
            // What is wrong with the store the handler meets as well, and says.
            Ok(Route::Here) | Err(_) => self.here().await,
        }
    }

    async fn run(mut self) -> Response {
        let lease = Duration::from_millis(self.app.pool.runtime().lease_ttl());
        let until = Instant::now() + lease + SLACK;
        loop {
            let drained = self.app.is_draining();
            let answered = match self.app.pool.route(&self.subject.agent).await {
                Ok(Route::Here) => Some(self.here().await)
                    .filter(|response| !is_elsewhere(response) && (drained || !is_draining(response))),
                Ok(Route::There(node)) => self.there(&node).await,
                Ok(Route::Nowhere) => None,
                Err(error) => return ApiError::from(error).into_response(),
            };
            match answered {
                Some(answered) => return answered,
                None if Instant::now() >= until || self.app.is_closing() => {
                    return elsewhere().into_response();
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn here(&self) -> Response {
        let request = Request::from_parts(self.parts.clone(), Body::from(self.body.clone()));
        let response = self.next.clone().run(request).await;
        let is_gone = self.owned.is_removal() && response.status() == StatusCode::NOT_FOUND;
        // A peer that gave no answer removed it.
        if self.uncertain && is_gone { StatusCode::NO_CONTENT.into_response() } else { response }
    }

    /// Forwards it. None where the node does not have the agent any more, or nobody knows what came of it.
    async fn there(&mut self, node: &Node) -> Option<Response> {
        if self.owned.message && !self.parts.headers.contains_key(KEY) {
            self.parts.headers.insert(KEY, fresh_key());
        }
        let forwarding = self.forward(node);
        let outcome = tokio::select! {
            biased;
            outcome = forwarding => outcome,
            // It was stopped, or cut off: who has the agent next is asked instead.
            () = self.is_elsewhere(node) => Outcome::Unknown,
        };
        match outcome {
            Outcome::Answered(answer) if self.uncertain && self.owned.is_removal() && answer.is_missing() => {
                Some(StatusCode::NO_CONTENT.into_response())
            }
            Outcome::Answered(answer) => Some(self.answer(answer).await),
            Outcome::Elsewhere | Outcome::Unreached => None,
            Outcome::Unknown => {
                self.uncertain = true;
                None
            }
            Outcome::Refused(why) => {
                tracing::error!(node = node.id, why, "a peer does not take what this node forwards");
                let message = "the node that has the agent does not trust this one; the log says why";
                Some(ApiError::new(StatusCode::BAD_GATEWAY, "cluster_mismatch", message).into_response())
            }
        }
    }

    async fn forward(&self, node: &Node) -> Outcome {
        let runtime = self.app.pool.runtime();
        let told = Told {
            from: runtime.holder().to_owned(),
            to: node.id.clone(),
            at: runtime.clock().now(),
            caller: self.subject.passport.clone(),
        };
        let headers = &self.parts.headers;
        let path = self.parts.uri.path_and_query().map_or("", |path| path.as_str());
        let key = headers.get(KEY);
        // One that is no text is refused by the handler, which looks at it first.
        let signed = key.map_or(Some(""), |key| key.to_str().ok()).unwrap_or_default();
        let signed = Signed { method: &self.parts.method, path, key: signed, body: &self.body };
        let proof = self.cluster.secret.sign(&signed, &told);
        let (request_id, trace) = (headers.get(REQUEST_ID), headers.get(TRACEPARENT));
        let request = Outgoing { method: &self.parts.method, path, key, request_id, trace, body: &self.body };
        self.cluster.peers.forward(node, &request, proof).await
    }

    /// Returns once the agent is not that node's any more, by the store.
    async fn is_elsewhere(&self, node: &Node) {
        let lease = Duration::from_millis(self.app.pool.runtime().lease_ttl());
        let mut missed = 0;
        loop {
            tokio::time::sleep((lease / 3).clamp(STILL.0, STILL.1)).await;
            match self.app.pool.route(&self.subject.agent).await {
                // Maybe under another lease: it may have been put away and be opened again by this very request.
                Ok(Route::There(now)) if now.id == node.id => missed = 0,
                Err(_) => {}
                Ok(_) => missed += 1,
            }
            if missed > 1 {
                return;
            }
        }
    }

    /// The peer's answer, or the stream that was asked for, which is read from the store here.
    async fn answer(&self, answer: Answer) -> Response {
        let asked = self.owned.message && self.owned.may_stream() && wants_stream(&self.parts.headers);
        let sent = asked.then(|| answer.told::<Queued>()).flatten();
        match (sent, self.channels()) {
            (Some(sent), Some(channels)) => {
                let Subject { agent, caller, .. } = &self.subject;
                let message = (sent.message_id, sent.cursor);
                match sse::seen(self.app, agent, &self.parts.headers).await {
                    Ok(seen) => sse::of_message(self.app, caller, agent, channels, message, seen).await,
                    Err(error) => error.into_response(),
                }
            }
            _ => answer.response(),
        }
    }

    fn channels(&self) -> Option<kode_core::event::Channels> {
        let Query(query) = Query::<EventsQuery>::try_from_uri(&self.parts.uri).ok()?;
        query.channels().ok()
    }
}

/// What a peer says of a message that it has taken.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    message_id: MessageId,
    cursor: Cursor,
}

impl Owned {
    fn is_removal(&self) -> bool {
        self.is(&Method::DELETE)
    }
}

fn fresh_key() -> HeaderValue {
    let key = format!("kode-node-{}", ulid::Ulid::generate().to_string().to_lowercase());
    HeaderValue::try_from(key).expect("a ulid is letters and digits")
}

fn elsewhere() -> ApiError {
    let message = "the node that has the agent does not answer, and nobody else has it yet; try again";
    ApiError::unavailable("not_ready", message, 1)
}
