//! The events as a reader sees them: blocks pair or are void, each call starts once and ends once, each
//! approval is asked for and decided once.

use std::collections::BTreeMap;

use kode_core::call::{Call, CallState};
use kode_core::event::{ErrorPhase, Event, Severity};
use kode_core::id::CallId;

use super::{Checked, hold};

/// A block whose end was not told.
#[derive(Debug, Clone, PartialEq)]
enum Block {
    Think(u32),
    Text(u32, String),
}

/// What was told of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Told {
    asked: bool,
    decided: bool,
    failed: bool,
    ended: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    block: Option<Block>,
    calls: BTreeMap<CallId, Told>,
}

impl Story {
    /// `of_job`: whether it is told of a background job, which outlives its call.
    pub(super) fn event(&mut self, event: &Event, of_job: bool) -> Checked {
        self.block_event(event)?;
        match event {
            Event::ToolStart { call } => {
                hold!(call.state == CallState::Pending, "tool:start of a call that is {:?}", call.state);
                let old = self.calls.insert(call.id.clone(), Told::default());
                hold!(old.is_none(), "tool:start twice for {}", call.id);
            }
            Event::PermissionRequired { call, .. } => {
                let told = self.open_call(&call.id)?;
                hold!(!told.asked, "permission_required twice for {}", call.id);
                told.asked = true;
            }
            Event::PermissionDecided { call_id, .. } => {
                let told = self.open_call(call_id)?;
                hold!(told.asked && !told.decided, "{call_id} was decided twice, or never asked about");
                told.decided = true;
            }
            Event::ToolError { call, .. } => {
                let told = self.open_call(&call.id)?;
                hold!(!told.failed, "tool:error twice for {}", call.id);
                told.failed = true;
            }
            Event::ToolEnd { call } => self.tool_end(call)?,
            Event::ToolExecuted { call } => self.open_call(&call.id).map(drop)?,
            Event::ToolCustomEvent { call_id, .. } if of_job => {
                hold!(self.calls.contains_key(call_id), "a job of {call_id}, which never started");
            }
            Event::ToolCustomEvent { call_id, .. } => self.open_call(call_id).map(drop)?,
            Event::Done { .. } => {
                let open: Vec<_> = self.calls.iter().filter(|(_, told)| !told.ended).collect();
                hold!(open.is_empty(), "done, and calls have no tool:end: {open:?}");
            }
            _ => {}
        }
        Ok(())
    }

    fn tool_end(&mut self, call: &Call) -> Checked {
        let told = self.open_call(&call.id)?;
        let failed = call.state == CallState::Failed;
        hold!(told.failed == failed, "tool:error and a {:?} end do not go together", call.state);
        hold!(told.asked == told.decided, "{} ended and its approval was not settled", call.id);
        let last = call.audit_trail.last().map(|line| line.state);
        hold!(last == Some(call.state), "{} is {:?} and its trail ends {last:?}", call.id, call.state);
        hold!(call.is_error == (call.state != CallState::Completed), "isError of a {:?} call", call.state);
        told.ended = true;
        Ok(())
    }

    fn open_call(&mut self, id: &CallId) -> Result<&mut Told, String> {
        let told = self.calls.get_mut(id).ok_or_else(|| format!("{id} was never started"))?;
        if told.ended { Err(format!("{id} is told of after its tool:end")) } else { Ok(told) }
    }

    fn block_event(&mut self, event: &Event) -> Checked {
        let was = &mut self.block;
        match event {
            Event::ThinkChunkStart { step } => {
                hold!(was.is_none(), "thinking begins within {was:?}");
                *was = Some(Block::Think(*step));
            }
            Event::TextChunkStart { step } => {
                hold!(was.is_none(), "text begins within {was:?}");
                *was = Some(Block::Text(*step, String::new()));
            }
            Event::ThinkChunk { step, .. } => {
                hold!(*was == Some(Block::Think(*step)), "a piece of thinking within {was:?}");
            }
            Event::TextChunk { step, delta } => match was {
                Some(Block::Text(open, text)) if open == step => text.push_str(delta),
                Some(_) | None => return Err(format!("a piece of text of step {step} within {was:?}")),
            },
            Event::ThinkChunkEnd { step } => {
                hold!(was.take() == Some(Block::Think(*step)), "the end of thinking that is not open");
            }
            Event::TextChunkEnd { step, text } => {
                let whole = Some(Block::Text(*step, text.clone()));
                let told = was.take();
                hold!(told == whole, "the end of {whole:?} where {told:?} was told");
            }
            Event::TextReset { .. } => *was = None,
            // After the last attempt the failure itself voids what was shown.
            Event::Error { severity: Severity::Error, phase: ErrorPhase::Model, .. } => *was = None,
            Event::Done { .. } | Event::StepComplete { .. } | Event::ToolStart { .. } => {
                hold!(was.is_none(), "{event:?} within {was:?}");
            }
            _ => {}
        }
        Ok(())
    }
}
