//! The policy port: a host's own permission mode. It decides on the calls that no list of the template names.
//!
//! A policy's word is a fact, so it is asked once for each call and a replay does not ask again. What never belongs
//! here: the lists, which are the template's and beat every policy.

use async_trait::async_trait;

use crate::hook::HookCall;
use crate::tool::ToolTraits;

pub use crate::machine::Ruling;

/// A permission mode of the host's, registered by name with [`crate::RuntimeBuilder::policy`] and chosen by a
/// template's `permission.mode`.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Rules on a call that neither `deny`, `allow` nor `require_approval` decides; before any hook. A policy that
    /// panics or does not answer within the template's `hook_timeout_secs` denies the call. After a crash it may be
    /// asked again about a call whose ruling was not yet durable.
    async fn rule(&self, call: &HookCall, traits: ToolTraits) -> Ruling;
}
