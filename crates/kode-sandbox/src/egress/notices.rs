//! What the witness of a command hears of its connections: few events, and the rest as sums.
//!
//! What never belongs here: what was sent. An event says to where and how much, never a path, a header or a byte.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kode_core::sandbox::Witness;
use serde_json::{Value, json};

use super::refusal::{Reason, Refusal};
use super::relay::Carried;
use super::rules::shown;

/// Events of one command; what comes after them is summed.
const MOST: u64 = 64;

/// The notices of one command.
pub(super) struct Notices {
    witness: Arc<dyn Witness>,
    sums: Mutex<Sums>,
}

/// What was told, and what was not any more.
#[derive(Default)]
struct Sums {
    told: u64,
    connections: u64,
    refused: u64,
    up: u64,
    down: u64,
}

impl Notices {
    pub(super) fn to(witness: Arc<dyn Witness>) -> Self {
        Self { witness, sums: Mutex::default() }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection was refused.
    pub(super) async fn refused(&self, refusal: &Refusal) {
        if !self.may_tell(|sums| sums.refused += 1) {
            return;
        }
        let mut data = json!({ "reason": refusal.reason.code() });
        match (&refusal.target, &refusal.reason) {
            (Some((host, port)), _) => {
                data["host"] = host.as_str().into();
                data["port"] = (*port).into();
            }
            // The text that is no host, which is all there is to say of it.
            (None, Reason::BadHost(text, _)) => data["host"] = shown(text).into(),
            (None, _) => {}
        }
        self.tell("egress_refused", data).await;
    }

    /// A connection has ended.
    pub(super) async fn ended(&self, host: &str, port: u16, carried: &Carried) {
        let Carried { up, down, took, cut } = carried;
        let sum = |sums: &mut Sums| {
            sums.connections += 1;
            sums.up += up;
            sums.down += down;
        };
        if !self.may_tell(sum) {
            return;
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut data = json!({ "host": host, "port": port, "up": up, "down": down, "durationMs": millis });
        if let Some(cut) = cut {
            data["cut"] = cut.code().into();
        }
        self.tell("egress", data).await;
    }

    /// The command is over.
    pub(super) async fn close(&self) {
        let data = {
            let Sums { connections, refused, up, down, .. } = *self.sums();
            (connections + refused > 0)
                .then(|| json!({ "connections": connections, "refused": refused, "up": up, "down": down }))
        };
        if let Some(data) = data {
            self.tell("egress_more", data).await;
        }
    }

    /// Whether one more event may be told; if not, it is summed.
    fn may_tell(&self, sum: impl FnOnce(&mut Sums)) -> bool {
        let mut sums = self.sums();
        let may = sums.told < MOST;
        if may {
            sums.told += 1;
        } else {
            sum(&mut sums);
        }
        may
    }

    async fn tell(&self, event_type: &str, data: Value) {
        self.witness.notice(event_type, data).await;
    }
}
