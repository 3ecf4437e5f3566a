//! The context: how much of the model's window the agent takes, and what the model reads in place of a
//! history that was condensed.
//!
//! The sizes are kept as the history grows, so that a step never counts it again. Everything here is an
//! estimate (`weigh`) until the provider reports what a request took; from then on the report is the truth
//! for what it covered, and the estimate counts only what came since, corrected by the ratio of both.

mod compaction;
mod cut;
mod digest;
mod fold;
mod plan;
mod weigh;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::{Message, Usage};
use crate::pages::Pages;

pub use self::compaction::{Compaction, SummaryStage};
pub(super) use self::digest::{excerpt, summary_request, todo_lines, todos};
pub(super) use self::fold::{Parts, after};
pub(super) use self::plan::{Planned, due, forced};
pub use self::weigh::overhead;
pub(super) use self::weigh::text as weigh_text;
pub(super) use self::words::words;
use super::{Cx, State};
use crate::fact::{CompactionPlan, Digest};
use crate::id::Seq;

/// The bounds of the ratio of report to estimate, in thousandths: past them a report is not of this prompt.
const RATIO: std::ops::RangeInclusive<u64> = 250..=4_000;

/// What an agent knows of its context.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// What the model reads in place of the beginning of the history.
    pub condensed: Option<Condensed>,
    /// Estimated tokens of the messages that the model is sent, without reasoning.
    pub messages: u64,
    /// The same of the reasoning in the turn under way.
    pub reasoning: u64,
    /// What the provider said of the last request.
    pub report: Option<Report>,
    /// How many compactions began.
    pub begun: u32,
}

/// What a request took, said by the provider and estimated by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// As reported.
    pub reported: u64,
    /// As estimated.
    pub estimated: u64,
}

/// A history of which the model reads the end only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condensed {
    /// The message that stands for what is left out; none where results were cut and nothing was left out.
    pub message: Option<Arc<Message>>,
    /// Messages before this place are left out.
    pub up_to: usize,
    /// But these, which stay whole: requests of the turn that was under way.
    pub kept: Vec<usize>,
    /// Results before `until` are cut to so many bytes.
    pub cut: Option<Cut>,
    /// How long the history was.
    pub len: usize,
}

/// Results of tools are shortened up to a place in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Most bytes of one.
    pub bytes: u32,
    /// The place.
    pub until: usize,
}

impl Context {
    /// Counts a message that joins the history.
    pub(super) fn add(&mut self, message: &Message) {
        self.messages += weigh::message(message, None);
        self.reasoning += weigh::reasoning(message);
    }

    /// A new turn: reasoning of older ones is not sent any more.
    pub(super) fn turn_started(&mut self) {
        self.reasoning = 0;
    }

    /// Takes the provider's word on a request that was estimated at so much; says nothing where it has none.
    pub(super) fn reported(&mut self, estimated: u64, usage: Usage) {
        if estimated > 0 && usage.input_tokens > 0 {
            self.report = Some(Report { reported: usage.input_tokens, estimated });
        }
    }

    /// What the model reads in place of the beginning, for another agent with the same history.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.condensed.as_ref().map(|condensed| Digest {
            nth: self.begun,
            message: condensed.message.as_deref().cloned(),
            up_to: condensed.up_to,
            kept: condensed.kept.clone(),
            cut: condensed.cut.map(|cut| (cut.bytes, cut.until)),
            len: condensed.len,
        })
    }

    /// The place before which messages are left out, and those before it that are not.
    fn left_out(&self) -> (usize, &[usize]) {
        self.condensed.as_ref().map_or((0, &[]), |c| (c.up_to, &c.kept))
    }

    /// Most bytes of a result of the message at a place.
    fn bytes_at(&self, at: usize) -> Option<usize> {
        let cut = self.condensed.as_ref()?.cut.filter(|cut| at < cut.until)?;
        Some(cut.bytes as usize)
    }
}

impl State {
    /// The estimate of the next request, uncorrected.
    pub(super) fn estimate(&self, cx: &Cx<'_>) -> u64 {
        cx.overhead + self.context.messages + self.context.reasoning
    }

    /// Leaves out, keeps and cuts as planned, and counts what is left.
    pub(super) fn condense(&mut self, plan: &CompactionPlan, message: Option<Arc<Message>>) {
        let len = self.transcript.len();
        let before = self.context.condensed.take();
        let (old, old_cut) = before.map_or((None, None), |c| (c.message, c.cut));
        let cut = plan.cut.map(|bytes| Cut { bytes, until: len }).or(old_cut);
        let (up_to, kept) = (plan.up_to, plan.kept.clone());
        self.context.condensed = Some(Condensed { message: message.or(old), up_to, kept, cut, len });
        self.recount();
    }

    /// Takes over what is read elsewhere in place of the beginning of the same history.
    pub(super) fn read_instead(&mut self, digest: &Digest, seq: Seq) {
        let Digest { nth, message, up_to, kept, cut, len } = digest.clone();
        let message = message.map(|message| Arc::new(Message { seq, ..message }));
        let cut = cut.map(|(bytes, until)| Cut { bytes, until });
        self.context.begun = nth;
        self.context.condensed = Some(Condensed { message, up_to, kept, cut, len });
        self.recount();
    }

    /// Counts what is left of the history.
    fn recount(&mut self) {
        let len = self.transcript.len();
        let turn = self.turn.as_ref().map_or(len, |turn| turn.from_message);
        let (mut messages, mut reasoning) = (0, 0);
        for (at, message) in self.shown() {
            messages += weigh::message(message, at.and_then(|at| self.context.bytes_at(at)));
            reasoning += if at.is_some_and(|at| at >= turn) { weigh::reasoning(message) } else { 0 };
        }
        (self.context.messages, self.context.reasoning) = (messages, reasoning);
    }

    /// The messages that the model is sent, uncut, each with its place in the history; the one that stands
    /// for what is left out has none.
    fn shown(&self) -> impl Iterator<Item = (Option<usize>, &Arc<Message>)> {
        let (up_to, kept) = self.context.left_out();
        let first = self.context.condensed.as_ref().and_then(|c| c.message.as_ref());
        let places = kept.iter().copied().chain(up_to..self.transcript.len());
        let placed = places.filter_map(|at| Some((Some(at), self.transcript.get(at)?)));
        first.map(|message| (None, message)).into_iter().chain(placed)
    }

    /// The history as the model reads it, and where in it the turn under way begins.
    pub(super) fn prompt_messages(&self) -> (Pages<Message>, usize) {
        let turn = self.turn.as_ref().map_or(self.transcript.len(), |turn| turn.from_message);
        if self.context.condensed.is_none() {
            return (self.transcript.clone(), turn);
        }
        let shortened = |(at, message): (Option<usize>, &Arc<Message>)| {
            let most = at.and_then(|at| self.context.bytes_at(at));
            most.and_then(|most| digest::shortened(message, most)).map_or_else(|| message.clone(), Arc::new)
        };
        let messages: Pages<Message> = self.shown().map(shortened).collect();
        let (up_to, kept) = self.context.left_out();
        // A turn whose own beginning is left out begins with the message that stands for it.
        let within = turn < up_to && !kept.iter().any(|at| *at >= turn);
        let begins = self.shown().position(|(at, _)| within || at.is_some_and(|at| at >= turn));
        let begins = begins.unwrap_or(messages.len());
        (messages, begins)
    }
}

/// Estimates in tokens as the provider counts them, and back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    report: Report,
    /// Tokens for a thousand of our own.
    ratio: u64,
}

impl Scale {
    pub(super) fn of(context: &Context) -> Self {
        let none = Report { reported: 0, estimated: 0 };
        let ratio = |r: Report| {
            (r.reported.saturating_mul(1_000) / r.estimated.max(1)).clamp(*RATIO.start(), *RATIO.end())
        };
        context
            .report
            .map_or(Self { report: none, ratio: 1_000 }, |report| Self { report, ratio: ratio(report) })
    }

    /// What an estimate is in tokens; never less than the lowest ratio gives, whatever was reported.
    pub(super) fn tokens(self, estimate: u64) -> u64 {
        let Self { report: Report { reported, estimated }, ratio } = self;
        let corrected = if estimate >= estimated {
            reported + (estimate - estimated).saturating_mul(ratio) / 1_000
        } else {
            reported.saturating_sub((estimated - estimate).saturating_mul(ratio) / 1_000)
        };
        corrected.max(estimate.saturating_mul(*RATIO.start()) / 1_000)
    }

    /// The estimate that so many tokens are.
    pub(super) fn estimate(self, tokens: u64) -> u64 {
        let Self { report: Report { reported, estimated }, ratio } = self;
        let corrected = if tokens >= reported {
            estimated + (tokens - reported).saturating_mul(1_000) / ratio
        } else {
            estimated.saturating_sub((reported - tokens).saturating_mul(1_000) / ratio)
        };
        corrected.min(tokens.saturating_mul(1_000) / *RATIO.start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(reported: u64, estimated: u64) -> Scale {
        Scale::of(&Context { report: Some(Report { reported, estimated }), ..Context::default() })
    }

    #[test]
    fn a_report_is_the_truth_for_what_it_covered_and_corrects_the_rest() {
        let twice = scale(2_000, 1_000);
        assert_eq!([900, 1_000, 1_100].map(|estimate| twice.tokens(estimate)), [1_800, 2_000, 2_200]);
        assert_eq!([1_800, 2_000, 2_200].map(|tokens| twice.estimate(tokens)), [900, 1_000, 1_100]);
        let none = Scale::of(&Context::default());
        assert_eq!((none.tokens(7), none.estimate(7)), (7, 7));
    }

    /// A provider that counts only what it had not cached, or something else altogether, moves what it covered
    /// and little more.
    #[test]
    fn a_report_that_cannot_be_right_corrects_within_bounds() {
        assert_eq!(scale(1, 1_000).tokens(1_400), 350, "no less than the lowest ratio gives");
        assert_eq!(scale(90_000, 1_000).tokens(1_001), 90_004);
        for (scale, tokens) in [(scale(1, 1_000), 500), (scale(900, 1_000), 500), (scale(7, 9), 80)] {
            assert!(scale.tokens(scale.estimate(tokens)) <= tokens + 1, "{scale:?}");
        }
    }

    #[test]
    fn nothing_is_learnt_where_nothing_was_reported() {
        let mut context = Context::default();
        context.reported(100, Usage::default());
        context.reported(0, Usage { input_tokens: 9, ..Usage::default() });
        assert_eq!(context.report, None);
        context.reported(100, Usage { input_tokens: 9, ..Usage::default() });
        assert_eq!(context.report, Some(Report { reported: 9, estimated: 100 }));
    }
}
