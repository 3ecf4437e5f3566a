//! Who asks, and what they may: keys, tokens, tickets, and the reach of each.
//!
//! What an agent does, and where keys are kept, never belongs here: the host reads its files and hands plain
//! values over. A handler gets ids only from a `Caller`, which gives none that it does not reach.

mod caller;
mod guard;
mod jwt;
mod keys;
mod limits;
mod passport;
mod reach;
mod rights;
mod tally;
mod tickets;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use kode_core::store::Store;

pub(crate) use caller::{Caller, Reached};
pub(crate) use guard::guard;
pub use jwt::{Jwt, WeakSecret};
pub use keys::{ApiKey, InvalidKeyHash, KeyHash, fresh_key};
pub use limits::Limits;
pub(crate) use passport::Passport;
pub use reach::{InvalidPrefix, Reach};
pub use rights::{Need, ROUTES, Right, Rights, Route};
pub(crate) use tickets::TICKET_SECS;

use crate::auth::limits::Meters;
use crate::auth::tickets::Tickets;

/// The longest thing that is looked at as a key, token or ticket, in bytes.
const TOKEN_MAX: usize = 8 * 1024;

/// How callers show who they are. Clones are handles on the same; [`Debug`] shows no secret.
#[derive(Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    /// Whether anybody is asked.
    asks: bool,
    keys: RwLock<Arc<[Arc<ApiKey>]>>,
    jwt: Option<Jwt>,
    tickets: Tickets,
    meters: Meters,
}

impl Auth {
    /// Asks nobody: everyone is `local` and may everything. For a loopback address, or behind something that
    /// asks.
    #[must_use]
    pub fn open() -> Self {
        Self::with(false, Vec::new(), None)
    }

    /// Lets those in that hold one of these keys, or a token as `jwt` describes. With neither, nobody.
    #[must_use]
    pub fn new(keys: Vec<ApiKey>, jwt: Option<Jwt>) -> Self {
        Self::with(true, keys, jwt)
    }

    fn with(asks: bool, keys: Vec<ApiKey>, jwt: Option<Jwt>) -> Self {
        let (keys, tickets, meters) = (RwLock::new(shared(keys)), Tickets::default(), Meters::default());
        Self { inner: Arc::new(Inner { asks, keys, jwt, tickets, meters }) }
    }

    /// Puts these keys in the place of all others. One that is gone or changed is refused from now on, and the
    /// streams that it opened end with their next event or comment. Counts go on for keys of the same name.
    pub fn replace_keys(&self, keys: Vec<ApiKey>) {
        *self.inner.keys.write().unwrap_or_else(PoisonError::into_inner) = shared(keys);
    }

    /// The store, with what agents spend in it counted for the keys that limit it. Without this, no key's tokens are.
    #[must_use]
    pub fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(tally::Tally::new(store, self.clone()))
    }

    /// Whether a key has a limit that takes a store that keeps counts.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        self.keys().iter().any(|key| key.limits.tokens_per_day.is_some())
    }

    /// Whether callers must show who they are.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.inner.asks
    }

    fn keys(&self) -> Arc<[Arc<ApiKey>]> {
        self.inner.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who shows this after `Bearer`.
    fn bearer(&self, token: &str) -> Option<Caller> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        if let Some(key) = keys::find(&self.keys(), token) {
            let meter = self.inner.meters.of(&key);
            return Some(Caller::of_key(self.clone(), key, meter));
        }
        self.inner.jwt.as_ref()?.holder(token).map(Caller::of_holder)
    }

    /// Who shows this ticket.
    fn ticket(&self, ticket: &str) -> Option<Caller> {
        self.inner.tickets.redeem(ticket).filter(Caller::stands)
    }

    /// Whether a key still is what it was.
    fn has(&self, key: &ApiKey) -> bool {
        self.keys().iter().any(|known| **known == *key)
    }

    /// A ticket for the stream of one agent, in the name of a caller who reaches it.
    pub(crate) fn issue(&self, caller: &Caller, agent: &Reached) -> Result<String, crate::error::ApiError> {
        self.inner.tickets.issue(caller, agent)
    }
}

impl Default for Auth {
    /// [`Auth::open`].
    fn default() -> Self {
        Self::open()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys().iter().map(|key| key.name.clone()).collect();
        let told = (self.inner.asks, self.inner.jwt.is_some());
        f.debug_struct("Auth").field("asks", &told.0).field("keys", &keys).field("jwt", &told.1).finish()
    }
}

fn shared(keys: Vec<ApiKey>) -> Arc<[Arc<ApiKey>]> {
    keys.into_iter().map(Arc::new).collect()
}
