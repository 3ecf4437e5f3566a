//! What a caller may do, and which right each route needs. A route that is not in the table needs `admin`.

use axum::http::Method;
use serde::{Deserialize, Serialize};

/// One thing that a caller may do to the agents that it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Look: lists, histories, events, streams.
    Read,
    /// Make, write to, interrupt, fork and delete agents.
    Write,
    /// Decide on calls that wait for a person.
    Approve,
    /// See what the server as a whole does; and everything else.
    Admin,
}

impl Right {
    /// Its name in files and tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Approve => "approve",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Approve => 4,
            Self::Admin => 8,
        }
    }
}

/// Some rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Whether this one is among them; `admin` has all.
    #[must_use]
    pub fn has(self, right: Right) -> bool {
        self.0 & (right.bit() | Right::Admin.bit()) != 0
    }

    /// One by one.
    pub(super) fn each(self) -> Vec<Right> {
        let all = [Right::Read, Right::Write, Right::Approve, Right::Admin];
        all.into_iter().filter(|right| self.0 & right.bit() != 0).collect()
    }
}

impl Default for Rights {
    /// All but `admin`.
    fn default() -> Self {
        [Right::Read, Right::Write, Right::Approve].into_iter().collect()
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | right.bit()))
    }
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it tells nothing of agents.
    Nothing,
    /// This right.
    May(Right),
    /// The right to read, or a ticket for the one agent.
    Stream,
}

/// One method of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method. `HEAD` is as `GET`.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it asks of its caller.
    pub need: Need,
}

const fn get(path: &'static str) -> Route {
    Route { method: "GET", path, need: Need::May(Right::Read) }
}

const fn stream(path: &'static str) -> Route {
    Route { method: "GET", path, need: Need::Stream }
}

const fn open(path: &'static str) -> Route {
    Route { method: "GET", path, need: Need::Nothing }
}

const fn route(method: &'static str, path: &'static str, right: Right) -> Route {
    Route { method, path, need: Need::May(right) }
}

/// All routes.
pub const ROUTES: &[Route] = &[
    open("/healthz"),
    open("/readyz"),
    open("/openapi.json"),
    open("/"),
    open("/docs"),
    route("GET", "/api/metrics", Right::Admin),
    route("GET", "/metrics", Right::Admin),
    get("/api/usage"),
    get("/api/templates"),
    get("/api/agents"),
    route("POST", "/api/agents", Right::Write),
    get("/api/agents/{agentId}"),
    route("DELETE", "/api/agents/{agentId}", Right::Write),
    get("/api/agents/{agentId}/status"),
    get("/api/agents/{agentId}/messages"),
    route("POST", "/api/agents/{agentId}/messages", Right::Write),
    stream("/api/agents/{agentId}/stream"),
    route("POST", "/api/agents/{agentId}/stream", Right::Write),
    get("/api/agents/{agentId}/events"),
    get("/api/agents/{agentId}/todos"),
    route("PUT", "/api/agents/{agentId}/todos", Right::Write),
    get("/api/approvals"),
    get("/api/agents/{agentId}/approvals"),
    route("POST", "/api/agents/{agentId}/approve", Right::Approve),
    route("POST", "/api/agents/{agentId}/interrupt", Right::Write),
    get("/api/agents/{agentId}/snapshots"),
    route("POST", "/api/agents/{agentId}/snapshots", Right::Write),
    route("POST", "/api/agents/{agentId}/fork", Right::Write),
    get("/api/agents/{agentId}/forks"),
    route("POST", "/api/stream-tickets", Right::Read),
    route("POST", "/api/chat/{userId}", Right::Write),
    route("POST", "/api/chat/{userId}/messages", Right::Write),
    stream("/api/chat/{userId}/stream"),
    get("/api/chat/{userId}/status"),
    route("POST", "/api/chat/{userId}/approve", Right::Approve),
    route("POST", "/api/chat/{userId}/interrupt", Right::Write),
    get("/api/chat/{userId}/sessions"),
];

/// What a route asks, by the path that matched.
pub(super) fn need(method: &Method, path: &str) -> Need {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let row = ROUTES.iter().find(|route| route.method == method && route.path == path);
    row.map_or(Need::May(Right::Admin), |route| route.need)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_nobody_listed_is_not_open() {
        assert_eq!(need(&Method::GET, "/api/agents/{agentId}/new"), Need::May(Right::Admin));
        assert_eq!(need(&Method::PATCH, "/api/agents"), Need::May(Right::Admin));
        assert_eq!(need(&Method::HEAD, "/api/agents"), Need::May(Right::Read));
    }

    #[test]
    fn admin_may_everything_and_is_not_given_by_default() {
        let admin: Rights = [Right::Admin].into_iter().collect();
        let reader: Rights = [Right::Read].into_iter().collect();
        for right in [Right::Read, Right::Write, Right::Approve, Right::Admin] {
            assert!(admin.has(right));
            assert_eq!(reader.has(right), right == Right::Read);
            assert_eq!(Rights::default().has(right), right != Right::Admin);
        }
    }
}
