//! Which agent a request changes, if it is one that belongs to the node that has the agent. The table of such routes.

use axum::http::Method;
use serde_json::Value;

/// How a route names the agent that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// By the path.
    Path,
    /// By the field `agentId` of the body; without it there is none yet.
    Body,
    /// By the user in the path and the session in the body.
    User,
}

/// A route that belongs to the agent's node.
pub(super) struct Owned {
    method: Method,
    path: &'static str,
    pub(super) named: Named,
    /// Whether it sends a message, which may come again after a node's death.
    pub(super) message: bool,
}

const fn owned(method: Method, path: &'static str, named: Named) -> Owned {
    Owned { method, path, named, message: false }
}

const fn message(path: &'static str, named: Named) -> Owned {
    Owned { method: Method::POST, path, named, message: true }
}

/// All of them. A fork is none: it is made of what the store has, by any node.
const OWNED: &[Owned] = &[
    owned(Method::POST, "/api/agents", Named::Body),
    owned(Method::DELETE, "/api/agents/{agentId}", Named::Path),
    message("/api/agents/{agentId}/messages", Named::Path),
    message("/api/agents/{agentId}/stream", Named::Path),
    owned(Method::PUT, "/api/agents/{agentId}/todos", Named::Path),
    owned(Method::POST, "/api/agents/{agentId}/approve", Named::Path),
    owned(Method::POST, "/api/agents/{agentId}/interrupt", Named::Path),
    owned(Method::POST, "/api/agents/{agentId}/snapshots", Named::Path),
    message("/api/chat/{userId}", Named::User),
    message("/api/chat/{userId}/messages", Named::User),
    owned(Method::POST, "/api/chat/{userId}/approve", Named::User),
    owned(Method::POST, "/api/chat/{userId}/interrupt", Named::User),
];

impl Owned {
    pub(super) fn is(&self, method: &Method) -> bool {
        self.method == *method
    }

    /// Whether the route's own stream may be asked for instead of its answer.
    pub(super) fn may_stream(&self) -> bool {
        self.path != "/api/agents/{agentId}/stream"
    }
}

/// The row of a route, by the path that matched.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Owned> {
    OWNED.iter().find(|owned| owned.method == *method && owned.path == path)
}

/// The agent's name as the request has it; what is wrong with it is the handler's to say.
pub(super) fn agent(named: Named, parameter: &str, body: &[u8]) -> Option<String> {
    let field = |name: &str| {
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(body.get(name)?.as_str()?.to_owned())
    };
    match named {
        Named::Path => Some(parameter.to_owned()),
        Named::Body => field("agentId"),
        Named::User => Some(match field("sessionId").filter(|session| !session.is_empty()) {
            Some(session) => format!("user:{parameter}:session:{session}"),
            None => format!("user:{parameter}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Need, ROUTES, Right};

    /// A route that changes an agent and is in neither list would be done by a node that does not have the agent.
    #[test]
    fn every_route_that_changes_something_is_owned_or_known_not_to_be() {
        const BY_ANY_NODE: [&str; 2] = ["/api/agents/{agentId}/fork", "/api/stream-tickets"];
        let changing = ROUTES.iter().filter(|route| route.method != "GET");
        for route in changing.filter(|route| !BY_ANY_NODE.contains(&route.path)) {
            assert!(matches!(route.need, Need::May(Right::Write | Right::Approve)), "{route:?}");
            let method = route.method.parse().unwrap();
            assert!(find(&method, route.path).is_some(), "{route:?}");
        }
        assert!(find(&Method::GET, "/api/agents/{agentId}/messages").is_none());
    }

    #[test]
    fn a_request_names_its_agent() {
        let body = br#"{"agentId":"x","sessionId":"s"}"#;
        assert_eq!(agent(Named::Path, "a:b", b"").as_deref(), Some("a:b"));
        assert_eq!(agent(Named::Body, "", body).as_deref(), Some("x"));
        assert_eq!(agent(Named::Body, "", b"{}"), None);
        assert_eq!(agent(Named::Body, "", b"no JSON"), None);
        assert_eq!(agent(Named::User, "1", body).as_deref(), Some("user:1:session:s"));
        assert_eq!(agent(Named::User, "1", br#"{"sessionId":""}"#).as_deref(), Some("user:1"));
        assert_eq!(agent(Named::User, "1", b"").as_deref(), Some("user:1"));
    }
}
