//! Who makes a request, and the only door through which handlers come to ids of agents.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use kode_core::id::AgentId;

use crate::auth::Auth;
use crate::auth::jwt::{Expiry, Holder};
use crate::auth::keys::ApiKey;
use crate::auth::limits::Meter;
use crate::auth::reach::Reach;
use crate::auth::rights::{Right, Rights};
use crate::error::ApiError;

/// Who everyone is while nobody is asked.
const LOCAL: &str = "local";

/// Who makes a request.
#[derive(Clone)]
pub(crate) struct Caller {
    name: Arc<str>,
    reach: Reach,
    rights: Rights,
    meter: Option<Arc<Meter>>,
    standing: Standing,
}

/// Until when a caller is one.
#[derive(Clone)]
enum Standing {
    Always,
    Key(Auth, Arc<ApiKey>),
    Token(Expiry),
}

/// The id of an agent that the caller reaches. Only a [`Caller`] gives one.
#[derive(Clone)]
pub(crate) struct Reached(AgentId);

impl Caller {
    /// Everyone, while nobody is asked.
    pub(super) fn local() -> Self {
        Self {
            name: LOCAL.into(),
            reach: Reach::all(),
            rights: [Right::Admin].into_iter().collect(),
            meter: None,
            standing: Standing::Always,
        }
    }

    pub(super) fn of_key(auth: Auth, key: Arc<ApiKey>, meter: Arc<Meter>) -> Self {
        let (name, reach) = (key.name.as_str().into(), key.reach.clone());
        let (rights, standing) = (key.rights, Standing::Key(auth, key));
        Self { name, reach, rights, meter: Some(meter), standing }
    }

    pub(super) fn of_holder(holder: Holder) -> Self {
        let Holder { sub, reach, rights, until } = holder;
        Self { name: sub.into(), reach, rights, meter: None, standing: Standing::Token(until) }
    }

    /// One that another node tells of, for the time of a request.
    pub(super) fn told_of(name: &str, reach: Reach, rights: Rights, meter: Option<Arc<Meter>>) -> Self {
        Self { name: name.into(), reach, rights, meter, standing: Standing::Always }
    }

    /// The same one, looking at one agent.
    pub(super) fn only_reading(&self, agent: &Reached) -> Self {
        let rights = [Right::Read].into_iter().collect();
        Self { reach: Reach::only(agent.0.clone()), rights, ..self.clone() }
    }

    /// Its name for others: of the key, or the token's `sub`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(super) fn rights(&self) -> Rights {
        self.rights
    }

    pub(super) fn meter(&self) -> Option<&Arc<Meter>> {
        self.meter.as_ref()
    }

    /// Whether it holds this key.
    pub(super) fn is(&self, key: &ApiKey) -> bool {
        matches!(&self.standing, Standing::Key(_, held) if **held == *key)
    }

    /// Whether it still is one: streams outlive what opened them.
    pub(crate) fn stands(&self) -> bool {
        match &self.standing {
            Standing::Always => true,
            Standing::Key(auth, key) => auth.has(key),
            Standing::Token(until) => !until.is_over(),
        }
    }

    /// The agent, if the caller reaches it. If not, the answer is that for one that does not exist.
    pub(crate) fn reached(&self, id: AgentId) -> Result<Reached, ApiError> {
        if self.reach.reaches(&id) { Ok(Reached(id)) } else { Err(ApiError::no_agent(id)) }
    }

    /// The same for an agent of a user's, which takes that the user is reached.
    pub(crate) fn reached_as(&self, user: &AgentId, id: AgentId) -> Result<Reached, ApiError> {
        if self.reach.reaches_as(user, &id) { Ok(Reached(id)) } else { Err(ApiError::no_agent(id)) }
    }

    /// A fresh name for an agent of the caller's.
    pub(crate) fn fresh(&self, suffix: &str) -> Result<Reached, ApiError> {
        self.reach.name(suffix).map(Reached).ok_or_else(|| {
            let message = "agentId: no generated name fits under a prefix of yours; name the agent yourself";
            ApiError::unprocessable("agent_id_needed", message)
        })
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("name", &self.name).field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Deref for Reached {
    type Target = AgentId;

    fn deref(&self) -> &AgentId {
        &self.0
    }
}

impl From<Reached> for AgentId {
    fn from(reached: Reached) -> Self {
        reached.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A route that nobody guards has no callers: it fails, and lets nobody in.
        let unguarded = || ApiError::internal("internal", "nobody was asked who calls");
        parts.extensions.get::<Self>().cloned().ok_or_else(unguarded)
    }
}
