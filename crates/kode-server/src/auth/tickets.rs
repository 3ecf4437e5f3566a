//! Tickets: what a browser's `EventSource`, which sends no headers, shows in the query instead of a key.
//!
//! In memory only: a ticket ends with its minute or with the server. Only the hash of one is kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::auth::keys::{KeyHash, random};
use crate::auth::{Caller, Reached};
use crate::error::ApiError;

/// How long a ticket opens streams, in seconds.
pub(crate) const TICKET_SECS: u32 = 60;
/// How often: a browser opens its stream again by itself where the line breaks off.
const OPENS: u8 = 8;
/// Tickets of one caller at once.
const TICKETS_MAX: usize = 256;

/// The tickets that may still be shown.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<String, Ticket>>);

struct Ticket {
    caller: Caller,
    until: Instant,
    opens: u8,
}

impl Tickets {
    /// A ticket of this caller's for this agent.
    pub(super) fn issue(&self, caller: &Caller, agent: &Reached) -> Result<String, ApiError> {
        let secret = random().map_err(|_| ApiError::internal("internal", "no random numbers can be had"))?;
        let until = Instant::now() + Duration::from_secs(TICKET_SECS.into());
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, ticket| ticket.until > Instant::now());
        if tickets.values().filter(|ticket| ticket.caller.name() == caller.name()).count() >= TICKETS_MAX {
            let message = format!("{TICKETS_MAX} tickets of yours are still good; use one, or wait");
            return Err(ApiError::too_many("too_many_tickets", message, TICKET_SECS));
        }
        let ticket = Ticket { caller: caller.only_reading(agent), until, opens: OPENS };
        tickets.insert(KeyHash::of(&secret).to_string(), ticket);
        Ok(secret)
    }

    /// Who shows this ticket, which is worth one opening less from now on. Found by its hash, of which time tells
    /// nothing that helps to guess a ticket.
    pub(super) fn redeem(&self, shown: &str) -> Option<Caller> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = tickets.get_mut(&KeyHash::of(shown).to_string())?;
        ticket.opens = ticket.opens.checked_sub(1)?;
        (ticket.until > Instant::now()).then(|| ticket.caller.clone())
    }
}
