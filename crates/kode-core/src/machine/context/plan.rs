//! Whether the history is to be condensed now, and what of it: what is left out, kept and cut.
//!
//! A cut goes where no call is open, so that no call is parted from its result. What stays is the newest
//! request of the turn under way, the round under way, and as much of the rest as fits; a compaction that
//! would win less than an eighth is not made while an answer still fits, so that the work of condensing stays
//! in proportion to what came in.

use std::sync::Arc;

use crate::fact::CompactionPlan;
use crate::machine::{Cx, State};
use crate::message::{Block, Message, Role};

use super::{Scale, digest, weigh};

/// Estimated tokens of the words around a summary.
const PREFACE: u64 = 48;
/// The least and the most room of a summary, in estimated tokens.
const ROOM: (u64, u64) = (64, 4_096);
/// What is left out weighs at least so much: below, a summary is as long as what it stands for.
const LEAST: u64 = 64;
/// The bounds of one result, longest first, where what must stay is over the target by itself.
const CUTS: [u32; 7] = [16_384, 8_192, 4_096, 2_048, 1_024, 512, 256];

/// A compaction that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) struct Planned {
    pub(in crate::machine) plan: CompactionPlan,
    /// Tokens of the request without it.
    pub(in crate::machine) before: u64,
}

/// The most tokens of a request before the history is condensed: the threshold, and never so many that no
/// answer fits behind them. None where nobody knows the window.
pub(super) fn limit(cx: &Cx<'_>) -> Option<u64> {
    let window = window(cx)?;
    Some(cx.template.context.threshold.of(window).min(edge(cx, window)))
}

fn window(cx: &Cx<'_>) -> Option<u64> {
    cx.template.context.window.or(cx.window).map(u64::from)
}

/// The most tokens of a request behind which an answer fits.
fn edge(cx: &Cx<'_>, window: u64) -> u64 {
    window - u64::from(cx.template.limits.max_tokens).min(window / 2)
}

/// What a compaction aims at: with the usual threshold, half of the window.
fn target(limit: u64) -> u64 {
    limit / 8 * 5
}

/// What results are cut for: between the target and the limit, since what the model has just asked for is worth
/// more to it than room.
fn bearable(limit: u64) -> u64 {
    limit / 16 * 13
}

/// The compaction that is due before the model is asked. None twice without a new message in between.
pub(in crate::machine) fn due(state: &State, cx: &Cx<'_>) -> Option<Planned> {
    let (limit, scale, now) = (limit(cx)?, Scale::of(&state.context), state.estimate(cx));
    let before = scale.tokens(now);
    let condensed = state.context.condensed.as_ref();
    if before <= limit || condensed.is_some_and(|c| c.len >= state.transcript.len()) {
        return None;
    }
    let bounds = [target(limit), bearable(limit)].map(|tokens| scale.estimate(tokens).min(now));
    let (plan, saved) = choose(state, cx, now, bounds)?;
    let over_the_edge = window(cx).is_some_and(|window| before > edge(cx, window));
    let worth_it = saved.saturating_mul(8) >= now || over_the_edge;
    (worth_it && wins(scale, now, saved)).then_some(Planned { plan, before })
}

/// The compaction after the provider refused a request as too long, whatever we thought of its size.
pub(in crate::machine) fn forced(state: &State, cx: &Cx<'_>) -> Option<Planned> {
    let (scale, now) = (Scale::of(&state.context), state.estimate(cx));
    let half = now / 2;
    let target = limit(cx).map_or(half, |limit| scale.estimate(target(limit)).min(half));
    let (plan, saved) = choose(state, cx, now, [target, target])?;
    wins(scale, now, saved).then(|| Planned { plan, before: scale.tokens(now) })
}

/// Whether there is less for the provider too: where it counts low, a little of ours is none of its tokens.
fn wins(scale: Scale, now: u64, saved: u64) -> bool {
    scale.tokens(now - saved) < scale.tokens(now)
}

/// The longest tail that fits into the target with a summary before it; where none does, the shortest there is,
/// its results cut where it is over what is bearable. With what the plan saves.
fn choose(
    state: &State,
    cx: &Cx<'_>,
    now: u64,
    [target, bearable]: [u64; 2],
) -> Option<(CompactionPlan, u64)> {
    let sight = Sight::of(state);
    let fixed =
        cx.overhead + PREFACE + weigh::text(&digest::todos(&state.todos.todos, cx.template.language()));
    let room = (target / 4).clamp(ROOM.0, ROOM.1);
    let fits = |at: &usize| fixed + room + sight.left(*at, target) <= target;
    let place = sight.places().find(fits).or_else(|| sight.places().last());
    let place = place.filter(|at| sight.dropped(*at, target) >= LEAST);
    let (up_to, kept, room, total) = match place {
        Some(at) => {
            let room = room.min((sight.message + sight.dropped(at, target)) / 2);
            (at, sight.kept(at, target), room, fixed + room + sight.left(at, target))
        }
        None => (sight.first, sight.kept.iter().map(|(at, _)| *at).collect(), 0, now),
    };
    let (cut, total) = if total > bearable { sight.cut(up_to, total, bearable) } else { (None, total) };
    let plan = CompactionPlan { up_to, kept, cut, room };
    (place.is_some() || cut.is_some()).then(|| (plan, now.saturating_sub(total)))
}

/// The history that the model is sent, weighed.
struct Sight<'a> {
    state: &'a State,
    /// The first message that is not left out.
    first: usize,
    /// What the messages from `first` on weigh.
    weights: Vec<u64>,
    /// What the message before them weighs.
    message: u64,
    /// Messages before `first` that are kept, with their weights.
    kept: Vec<(usize, u64)>,
    /// The requests of the turn under way, the newest first, with their weights.
    requests: Vec<(usize, u64)>,
}

impl<'a> Sight<'a> {
    fn of(state: &'a State) -> Self {
        let (first, kept) = state.context.left_out();
        let message = state.context.condensed.as_ref().and_then(|c| c.message.as_ref());
        let mut sight = Self {
            state,
            first,
            weights: Vec::new(),
            message: message.map_or(0, |message| weigh::message(message, None)),
            kept: Vec::new(),
            requests: Vec::new(),
        };
        sight.weights = (first..state.transcript.len()).map(|at| sight.weigh(at, None)).collect();
        sight.kept = kept.iter().map(|at| (*at, sight.weigh(*at, None))).collect();
        let places = sight.kept.iter().copied().chain((first..).zip(sight.weights.iter().copied()));
        let mut requests: Vec<_> = places.filter(|(at, _)| is_request(state, *at)).collect();
        requests.reverse();
        sight.requests = requests;
        sight
    }

    /// What a message weighs as it is sent, its results cut further where `most` says so.
    fn weigh(&self, at: usize, most: Option<usize>) -> u64 {
        let Some(message) = self.state.transcript.get(at) else { return 0 };
        let most = self.state.context.bytes_at(at).into_iter().chain(most).min();
        let in_turn = self.state.turn.as_ref().is_some_and(|turn| at >= turn.from_message);
        weigh::message(message, most) + if in_turn { weigh::reasoning(message) } else { 0 }
    }

    /// The places before which the history may be left out: in front of no result, and behind neither the
    /// round under way nor the last message.
    fn places(&self) -> impl Iterator<Item = usize> {
        let message = |at: usize| self.state.transcript.get(at);
        let holds_results = move |at: usize| message(at).is_some_and(has_results);
        (self.first + 1..=self.last()).filter(move |at| !holds_results(*at))
    }

    /// The beginning of what stays in any case.
    fn last(&self) -> usize {
        let end = self.state.transcript.len();
        let of_model = (self.first..end)
            .rev()
            .find(|at| self.state.transcript.get(*at).is_some_and(|message| message.role == Role::Assistant));
        match of_model.filter(|at| self.state.transcript.get(at + 1).is_some_and(has_results)) {
            Some(round) => round,
            None => end.saturating_sub(1),
        }
    }

    /// The requests that are kept before a place: the newest, and others while they take no more than half
    /// of the target.
    fn kept(&self, place: usize, target: u64) -> Vec<usize> {
        let mut sum = 0;
        let mut fits = |(nth, (at, weight)): (usize, &(usize, u64))| {
            sum += weight;
            (*at < place && (nth == 0 || sum <= target / 2)).then_some(*at)
        };
        let mut kept: Vec<_> = self.requests.iter().enumerate().filter_map(&mut fits).collect();
        kept.sort_unstable();
        kept
    }

    fn weight_of(&self, places: &[usize]) -> u64 {
        self.requests.iter().filter(|(at, _)| places.contains(at)).map(|(_, weight)| weight).sum()
    }

    /// What is sent still when the history before a place is left out, without the message for it.
    fn left(&self, place: usize, target: u64) -> u64 {
        let tail: u64 = self.weights.iter().skip(place - self.first).sum();
        tail + self.weight_of(&self.kept(place, target))
    }

    /// What is sent now and would not be any more.
    fn dropped(&self, place: usize, target: u64) -> u64 {
        let before: u64 = self.weights.iter().take(place - self.first).sum();
        let kept: u64 = self.kept.iter().map(|(_, weight)| weight).sum();
        (before + kept).saturating_sub(self.weight_of(&self.kept(place, target)))
    }

    /// The longest bound of a result under which the messages from a place on fit, or the shortest that
    /// helps, and the total with it.
    fn cut(&self, place: usize, total: u64, target: u64) -> (Option<u32>, u64) {
        let whole: u64 = self.weights.iter().skip(place - self.first).sum();
        let with = |bytes: u32| {
            let end = self.first + self.weights.len();
            let cut: u64 = (place..end).map(|at| self.weigh(at, Some(bytes as usize))).sum();
            total - whole.saturating_sub(cut)
        };
        let mut tried = CUTS.iter().map(|bytes| (*bytes, with(*bytes)));
        let best = tried.find(|(bytes, with)| *with <= target || CUTS.last() == Some(bytes));
        best.filter(|(_, with)| *with < total).map_or((None, total), |(bytes, with)| (Some(bytes), with))
    }
}

fn has_results(message: &Arc<Message>) -> bool {
    message.content.iter().any(|block| matches!(block, Block::ToolResult { .. }))
}

fn is_request(state: &State, at: usize) -> bool {
    let turn = state.turn.as_ref().filter(|turn| at >= turn.from_message);
    let message = state.transcript.get(at);
    turn.zip(message).is_some_and(|(turn, message)| turn.messages.contains(&message.id))
}
