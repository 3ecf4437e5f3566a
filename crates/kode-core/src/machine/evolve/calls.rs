//! Calls and attempts as a fold makes them: opened, in their next state, as what the model reads.

use std::sync::Arc;

use crate::call::{Audit, CallState};
use crate::fact::NewCall;
use crate::id::{Epoch, MessageId, Millis, Seq};
use crate::machine::{ModelCall, OpenCall, Partial, Round};
use crate::message::{Block, Message, Role};

impl ModelCall {
    /// The same attempt, counted as failed and with nothing shown.
    pub(super) fn after_failure(&self) -> Self {
        Self { failures: self.failures + 1, partial: Partial::default(), ..self.clone() }
    }
}

/// Whether a block gives the model nothing to read: no provider takes a message of such alone.
pub(super) fn says_nothing(block: &Block) -> bool {
    match block {
        Block::Thinking { .. } => true,
        Block::Text { text } => text.trim().is_empty(),
        Block::ToolUse { .. } | Block::ToolResult { .. } => false,
    }
}

pub(super) fn enter(open: &mut OpenCall, state: CallState, at: Millis, note: Option<String>) {
    open.call.state = state;
    open.call.audit_trail.push(Audit { state, timestamp: at, note });
}

pub(super) fn open_call(new: &NewCall) -> OpenCall {
    OpenCall {
        call: new.call.clone(),
        input: Arc::new(new.input.clone()),
        traits: new.traits,
        problem: new.problem.clone(),
        ruled: None,
        verdict: None,
        attempt: 0,
        epoch: Epoch::ZERO,
        content: None,
    }
}

/// What the model reads of a round, in the calls' order.
pub(in crate::machine) fn results_message(round: &Round, seq: Seq, at: Millis) -> Message {
    Message {
        id: MessageId::new(format!("results_{}", round.step)),
        role: Role::User,
        content: round.calls.iter().map(result_block).collect(),
        created_at: at,
        seq,
        interrupted: false,
        metadata: serde_json::Map::new(),
    }
}

fn result_block(open: &OpenCall) -> Block {
    Block::ToolResult {
        id: open.call.id.clone(),
        content: open.content.clone().unwrap_or_default(),
        is_error: open.call.is_error,
    }
}
