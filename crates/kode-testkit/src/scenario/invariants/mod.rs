//! What must hold after every step of every machine, whatever came in. Each check says in words what is
//! broken; none of them decides what an agent does.

mod effects;
mod jobs;
mod journal;
mod moves;
mod prompt;
mod story;
mod turns;

use kode_core::fact::Entry;
use kode_core::machine::{Batch, Cx, State, View, project};

pub(crate) use prompt::paired;

/// A sentence that says what is broken.
pub(crate) type Checked = Result<(), String>;

/// Fails with the sentence unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+));
        }
    };
}
use hold;

/// What was seen so far of one agent, for the checks that look over many entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Invariants {
    journal: journal::Journal,
    moves: moves::Moves,
    story: story::Story,
    turns: turns::Turns,
    effects: effects::Effects,
    jobs: jobs::Jobs,
}

impl Invariants {
    /// Looks at one entry by itself and as the next of its journal.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Checked {
        let told = project(entry);
        self.journal.entry(entry, &told)?;
        self.effects.entry(entry)?;
        self.jobs.entry(entry)?;
        self.turns.entry(entry, &told)?;
        for envelope in &told {
            self.moves.event(&envelope.event)?;
            self.story.event(&envelope.event, jobs::tells(&entry.fact))?;
        }
        Ok(())
    }

    /// Looks at what one step gave, and at the state after it.
    pub(super) fn batch(&mut self, cx: &Cx<'_>, state: &State, batch: &Batch) -> Checked {
        let told: Vec<_> = batch.entries.iter().flat_map(project).collect();
        hold!(told == batch.envelopes, "the batch tells other events than its entries do");
        batch.entries.iter().try_for_each(|entry| self.entry(entry))?;
        self.journal.state(state)?;
        self.moves.state(state)?;
        self.turns.state(state)?;
        self.effects.state(cx, state)?;
        self.jobs.state(cx, state)?;
        safe_point(state)?;
        forkable(state)
    }

    /// Another template is in force: calls that had started before may exceed its bounds, and a turn may be
    /// out of its time at once.
    pub(super) fn template_changed(&mut self) {
        self.effects.template_changed();
    }
}

/// A fork of the state is possible exactly while no call is open, and its history is whole.
fn forkable(state: &State) -> Checked {
    let open = state.round().is_some_and(|round| round.calls.iter().any(|call| !call.ended()));
    let Some(point) = state.fork_point() else { return Ok(()) };
    hold!(open == (point < state.seq), "a call is open: {open}, and the last fork point is {point}");
    match state.heritage(state.seq) {
        Err(_) => Ok(()),
        Ok(_) if open => Err("a fork takes over an open call".into()),
        Ok(heritage) => {
            let messages: Vec<_> = heritage.messages.into_iter().map(std::sync::Arc::new).collect();
            paired(messages.iter()).map_err(|why| format!("in what a fork takes over, {why}"))
        }
    }
}

/// A fork at the last safe point has a result for each of its calls.
fn safe_point(state: &State) -> Checked {
    let safe = usize::try_from(View::of(state).last_safe_point + 1).unwrap_or(0);
    hold!(safe <= state.transcript.len(), "the last safe point lies behind the history");
    let messages: Vec<_> = state.transcript.iter().take(safe).cloned().collect();
    paired(messages.iter()).map_err(|why| format!("at the last safe point, {why}"))
}
