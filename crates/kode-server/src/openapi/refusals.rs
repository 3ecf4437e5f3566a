//! Every code that an error answer can have, with its status and meaning, and which of them belong together.

/// One code.
pub(crate) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) says: &'static str,
}

const fn code(status: u16, code: &'static str, says: &'static str) -> Refusal {
    Refusal { status, code, says }
}

/// All of them, by status.
pub(super) const CODES: &[Refusal] = &[
    code(400, "bad_json", "the body is not JSON"),
    code(400, "bad_request", "the request broke off, or could not be read"),
    code(400, "cursor_from_future", "the agent has never given this cursor"),
    code(400, "invalid_agent_id", "it breaks a rule of ids, which the error names"),
    code(400, "invalid_cursor", "a cursor is a whole number, as events have it"),
    code(400, "invalid_idempotency_key", "it is not 1 to 255 visible ASCII characters"),
    code(400, "invalid_query", "a parameter of the query is none, which the error names"),
    code(401, "unauthorized", "the request does not show who makes it, or what it shows is no longer good"),
    code(403, "forbidden", "the caller has not the right that this takes"),
    code(
        403,
        "forwarding_refused",
        "the request says that a node of the cluster forwards it, and does not prove it",
    ),
    code(404, "agent_not_found", "there is no such agent, or the caller does not reach it"),
    code(404, "approval_not_found", "the agent has no such call that was asked about"),
    code(404, "not_found", "there is nothing at this path"),
    code(405, "method_not_allowed", "see the header `allow`"),
    code(408, "request_timeout", "the body did not come in time"),
    code(409, "agent_busy", "a run is under way, and the mode is `reject`"),
    code(409, "agent_exists", "with another template, or under the name that a fork was to have"),
    code(409, "approval_changed", "the call has another input than the one that was shown"),
    code(409, "approval_decided", "somebody decided already"),
    code(409, "snapshot_exists", "the label is taken"),
    code(409, "too_many_snapshots", "an agent has at most 1,000"),
    code(409, "version_conflict", "the list was changed meanwhile"),
    code(409, "workspace_exists", "files of a former agent lie under the name"),
    code(410, "cursor_expired", "what follows this cursor is forgotten; `oldest` is the first that is good"),
    code(413, "too_large", "the body is longer than the server takes"),
    code(415, "unsupported_media_type", "the body must be `application/json`"),
    code(422, "agent_id_needed", "no generated name fits, or is reached; name the agent"),
    code(422, "idempotency_key_reused", "the key came with another body before"),
    code(422, "invalid_fork_point", "the error names the nearest place to fork at"),
    code(422, "invalid_request", "a field is missing, unknown or wrong; the error names it"),
    code(422, "missing_tool", "an open call needs a tool that the template does not have"),
    code(422, "unknown_snapshot", "the agent has no such snapshot"),
    code(422, "unknown_template", "the template is not registered, or none is named and there is no default"),
    code(422, "workspace_too_large", "the files are more than a fork copies"),
    code(422, "workspace_unsupported", "this server neither copies nor shares files"),
    code(429, "queue_full", "as many messages wait for the agent as may"),
    code(429, "rate_limited", "the key has sent as many requests as it may in a minute"),
    code(429, "tokens_spent", "agents under the key's prefixes have spent the tokens of the day"),
    code(429, "too_many_agents", "the key has as many agents as it may"),
    code(429, "too_many_runs", "as many agents of the key's are at work as may"),
    code(429, "too_many_tickets", "as many tickets of the caller's are good as may be"),
    code(500, "internal", "something failed inside the server"),
    code(500, "journal_damaged", "the agent's journal is damaged, and kept; `kode store check` says where"),
    code(500, "journal_incompatible", "another version of kode wrote the agent's journal"),
    code(500, "sandbox_unavailable", "the agent's work directory cannot be had"),
    code(503, "draining", "the server is shutting down"),
    code(
        502,
        "cluster_mismatch",
        "the node that has the agent does not trust this one: their secrets or clocks differ",
    ),
    code(503, "not_ready", "the agent was put away meanwhile, or another node has it that does not answer"),
    code(503, "pool_full", "every agent in memory is at work"),
    code(503, "store_unavailable", "the store cannot be reached, or is full"),
];

/// Of every request.
pub(super) const ANY: &[&str] = &["internal"];
/// Of every request that shows who makes it.
pub(super) const GUARDED: &[&str] =
    &["internal", "unauthorized", "forbidden", "forwarding_refused", "rate_limited"];
/// Of one with a body.
pub(crate) const BODY: &[&str] =
    &["bad_json", "bad_request", "request_timeout", "too_large", "unsupported_media_type", "invalid_request"];
/// Of one that names an agent, by itself or by its user.
pub(crate) const IDENTIFIED: &[&str] = &["invalid_agent_id", "agent_not_found"];
/// Of one that begins a page behind a name.
pub(crate) const LISTED: &[&str] = &["invalid_agent_id", "store_unavailable"];
/// Of one that asks the store and no agent.
pub(crate) const READ: &[&str] = &["store_unavailable"];
/// Of one that looks at an agent.
pub(crate) const LOOKED_UP: &[&str] = &["store_unavailable", "journal_damaged", "journal_incompatible"];
/// Of one that reads events.
pub(crate) const WATCHED: &[&str] = &[
    "invalid_cursor",
    "cursor_from_future",
    "cursor_expired",
    "store_unavailable",
    "journal_damaged",
    "journal_incompatible",
];
/// Of one that takes an agent up.
pub(crate) const TAKEN_UP: &[&str] = &[
    "pool_full",
    "draining",
    "not_ready",
    "cluster_mismatch",
    "unknown_template",
    "missing_tool",
    "sandbox_unavailable",
    "store_unavailable",
    "journal_damaged",
    "journal_incompatible",
];
/// Of one that may make an agent.
pub(crate) const MADE: &[&str] = &["agent_exists", "too_many_agents"];
/// Of one that sends a message.
pub(crate) const SENT: &[&str] = &["agent_busy", "queue_full", "too_many_runs", "tokens_spent"];
/// Of one that may be repeated.
pub(crate) const KEYED: &[&str] = &["invalid_idempotency_key", "idempotency_key_reused"];
/// Of one that replaces a todo list.
pub(crate) const TODOS: &[&str] = &["version_conflict"];
/// Of one that makes a fork.
pub(crate) const FORK: &[&str] = &[
    "agent_id_needed",
    "invalid_fork_point",
    "unknown_snapshot",
    "workspace_exists",
    "workspace_too_large",
    "workspace_unsupported",
];
