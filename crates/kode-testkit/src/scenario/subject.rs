//! A machine under examination: it owns a simulated clock and an in-memory journal, and has its invariants
//! checked after every step. Holds no rule about agents.

use std::collections::BTreeMap;

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Epoch, Millis};
use kode_core::lineage::{Files, ForkPoint, NotForkable};
use kode_core::machine::{
    Batch, Cx, Effect, EffectKey, Hooked, Input, Origin, Prompt, Rejected, State, Strategy, overhead, render,
    summary_prompt,
};

use super::invariants::Invariants;
use super::render::entry_line;
use super::template::Setup;

/// The simulated time at which every subject begins: 2026-01-01T00:00:00Z.
pub const START: Millis = 1_767_225_600_000;

/// What a writer knows of its world.
#[derive(Debug, Clone)]
struct Surroundings {
    agent: AgentId,
    epoch: Epoch,
    now: Millis,
    setup: Setup,
}

impl Surroundings {
    fn cx(&self) -> Cx<'_> {
        Cx {
            agent: &self.agent,
            epoch: self.epoch,
            now: self.now,
            template: &self.setup.template,
            hooks: Hooked { calls: self.setup.hooks, tools: &[], prompts: self.setup.prompt_hooks },
            window: None,
            overhead: overhead(&self.setup.template, &[]),
            sandbox: "simulated",
        }
    }
}

/// One agent's machine with its journal, its clock and the checks of its invariants.
///
/// Every method that steps the machine panics when an invariant is broken, and says which.
#[derive(Debug, Clone)]
pub struct Subject {
    world: Surroundings,
    state: State,
    journal: Vec<Entry>,
    invariants: Invariants,
    /// Where a broken invariant is reported to be.
    place: String,
}

impl Subject {
    /// A machine with an empty journal, before its first [`Input::Open`], at [`START`] and in epoch 1.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self::named("scenario", setup)
    }

    fn named(name: &str, setup: Setup) -> Self {
        let agent = AgentId::new(name).expect("the name keeps the rules of agent ids");
        Self {
            world: Surroundings { agent, epoch: Epoch(1), now: START, setup },
            state: State::default(),
            journal: Vec::new(),
            invariants: Invariants::default(),
            place: "the first step".to_owned(),
        }
    }

    /// What the next writer finds in `journal`, before its [`Input::Open`]: the entries as JSON would bring
    /// them back, one epoch later. Time goes on from the last entry.
    ///
    /// # Panics
    /// When the journal itself breaks an invariant.
    #[must_use]
    pub fn found(setup: Setup, journal: &[Entry]) -> Self {
        let mut subject = Self::new(setup);
        for entry in journal {
            subject.take_up(entry);
        }
        subject
    }

    /// Adds one durable entry of an older writer, as if it had been read from a store.
    ///
    /// # Panics
    /// When the entry breaks an invariant of the journal.
    pub fn take_up(&mut self, entry: &Entry) {
        let read = through_json(entry);
        self.state.evolve(&read);
        if let Err(why) = self.invariants.entry(&read) {
            panic!("{why}\n  in a journal that was read, at {read:?}");
        }
        self.world.now = self.world.now.max(read.at);
        self.world.epoch = Epoch(read.epoch.0 + 1);
        self.journal.push(read);
    }

    /// Steps the machine with one input.
    ///
    /// # Errors
    /// The machine's own refusal; its state is as it was.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub fn input(&mut self, input: Input) -> Result<Batch, Rejected> {
        self.inputs([input])
    }

    /// Steps the machine with inputs that arrived together: they make one batch.
    ///
    /// # Errors
    /// The first refusal. What the other inputs gave is part of the journal all the same.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub fn inputs(&mut self, inputs: impl IntoIterator<Item = Input>) -> Result<Batch, Rejected> {
        let mut batch = Batch::default();
        let (mut stepped, mut refused) = (false, None);
        for input in inputs {
            let before = self.state.clone();
            match self.state.step(&self.world.cx(), input, &mut batch) {
                Ok(()) => stepped = true,
                Err(rejected) => {
                    let same = self.state == before;
                    assert!(same, "refused with `{rejected}`, yet the state changed\n  at {}", self.place);
                    refused.get_or_insert(rejected);
                }
            }
        }
        if !stepped {
            // What time alone would give is the next tick's to tell.
            return refused.map_or(Ok(batch), Err);
        }
        self.journal.extend_from_slice(&batch.entries);
        if let Err(why) = self.invariants.batch(&self.world.cx(), &self.state, &batch) {
            let facts: String = batch.entries.iter().map(|e| format!("\n  + {}", entry_line(e))).collect();
            panic!("{why}\n  at {}, after{facts}", self.place);
        }
        refused.map_or(Ok(batch), Err)
    }

    /// Ends the writer without a word and begins the next one, `down` later: the journal is read back
    /// through JSON into a new state in a new epoch. [`Input::Open`] is the caller's to give.
    ///
    /// # Panics
    /// When what was read back is not what was lost.
    pub fn crash(&mut self, down: Millis) {
        let mut read = State::default();
        for entry in &mut self.journal {
            *entry = through_json(entry);
            read.evolve(entry);
        }
        assert!(read == self.state, "the state that was read back differs from the one that was lost");
        self.state = read;
        self.world.epoch = Epoch(self.world.epoch.0 + 1);
        self.pass(down);
    }

    /// Another agent that begins with what this one was at a place, at the same time, with the same setup.
    ///
    /// # Errors
    /// Why it cannot be forked there.
    ///
    /// # Panics
    /// When an invariant is broken, or when the machine refuses the fork.
    pub fn fork(&self, name: &str, point: &ForkPoint) -> Result<Self, NotForkable> {
        let at = self.state.resolve(point)?;
        let mut there = State::default();
        self.journal.iter().filter(|entry| entry.seq <= at).for_each(|entry| there.evolve(entry));
        let heritage = there.heritage(at)?;
        let origin = Origin {
            from: self.world.agent.clone(),
            at,
            ancestors: there.ancestors(),
            template: self.world.setup.template.id.clone(),
            metadata: there.metadata.clone(),
            files: Files::Own,
        };
        let mut fork = Self::named(name, self.world.setup.clone());
        fork.world.now = self.world.now;
        fork.at(format!("the fork {name}"));
        let open = Input::Open { strategy: Strategy::Crash };
        let inputs = [open, Input::Fork(Box::new(origin)), Input::Inherit(Box::new(heritage))];
        let _ = fork.inputs(inputs).expect("a fork begins with what its parent was");
        Ok(fork)
    }

    /// The agent's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.world.agent.as_str()
    }

    /// Names the place for the sentence about a broken invariant: a line of a script, a step of a test.
    pub fn at(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    /// Lets time pass without telling the machine.
    pub fn pass(&mut self, time: Millis) {
        self.world.now = self.world.now.saturating_add(time);
    }

    /// Puts another template in force.
    pub fn set_up(&mut self, setup: Setup) {
        self.world.setup = setup;
        self.invariants.template_changed();
    }

    /// The time of the simulated clock.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.world.now
    }

    /// What is in force.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.world.setup
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All entries so far.
    #[must_use]
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// The effects that should be in flight.
    #[must_use]
    pub fn wanted(&self) -> BTreeMap<EffectKey, Effect> {
        self.state.wanted(&self.world.cx())
    }

    /// When the machine must be looked at again although nothing came in.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        self.state.deadline(&self.world.cx())
    }

    /// What the model would see now: where the history is being condensed, the request for a summary.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        summary_prompt(&self.state, &self.world.cx())
            .unwrap_or_else(|| render(&self.state, &self.world.setup.template))
    }
}

/// The entry as a store gives it back.
fn through_json(entry: &Entry) -> Entry {
    let json = serde_json::to_string(entry).expect("entries have string keys only");
    serde_json::from_str(&json).expect("an entry reads back what it wrote")
}
