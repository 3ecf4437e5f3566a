//! Properties over random lives: every step keeps the invariants that [`Subject`] checks, every life comes
//! to rest, and so does every life that is cut off at any entry.

use std::collections::BTreeMap;

use kode_core::fact::{Entry, Fact};
use kode_core::id::{MessageId, Millis};
use kode_core::machine::{self, Input};
use kode_testkit::rounds::cases;
use kode_testkit::scenario::{Setup, Subject};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::Map;

use crate::ops::{Op, life};
use crate::world::{oblige, settle};

/// More facts than one input can lead to.
const STEP_MAX: usize = 120;
/// A writer as after a crash.
pub(crate) const OPEN: Input = Input::Open { strategy: machine::Strategy::Crash };
/// How long an idempotency key is kept at least.
const DAY: Millis = 24 * 60 * 60 * 1_000;

fn config(test: &str, usual: u32) -> ProptestConfig {
    ProptestConfig {
        cases: cases(test, usual, usual * 20),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/machine.txt",
        ))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config("random lives of an agent", 256))]

    /// G1 to G4 and G6 for any inputs in any order: the invariants after each step, and an end for every
    /// message.
    #[test]
    fn any_life_keeps_the_invariants_and_comes_to_rest((setup, ops) in life(50)) {
        let mut subject = live(setup, &ops);
        settle(&mut subject);
        each_message_has_its_done(subject.journal());
        each_key_queues_once(subject.journal());
    }
}

proptest! {
    #![proptest_config(config("lives cut at every entry", 40))]

    /// Scenario 27. Upstream leaves calls without a result, or with two [S].
    /// G1, G2 and G3: cut off after any entry, within batches too, a life goes on under the next writer,
    /// also when that one is cut off again.
    #[test]
    fn g1_a_crash_at_any_entry_loses_and_repeats_nothing((setup, ops) in life(30)) {
        let subject = live(setup, &ops);
        let journal = subject.journal().to_vec();
        let mut found = Subject::new(Setup::default());
        found.set_up(subject.setup().clone());
        for (at, entry) in journal.iter().enumerate() {
            found.take_up(entry);
            go_on(found.clone(), at % 7);
        }
    }
}

/// An agent that exists, and everything that happens to it.
pub(crate) fn live(setup: Setup, ops: &[Vec<Op>]) -> Subject {
    let mut subject = Subject::new(setup);
    let _ = subject.inputs([OPEN, create()]).expect("a new agent is created");
    for (nth, group) in ops.iter().enumerate() {
        subject.at(format!("group {nth} of the life"));
        group.iter().for_each(|op| op.prepare(&mut subject));
        let input = |(at, op): (usize, &Op)| op.input(&subject, nth * 10 + at);
        let mut inputs: Vec<Input> = group.iter().enumerate().filter_map(input).collect();
        // A new writer opens before it hears of anything else.
        inputs.sort_by_key(|input| !matches!(input, Input::Open { .. }));
        let before = subject.journal().len();
        // Refusals are part of life; that they change nothing is checked by the subject.
        let _ = subject.inputs(inputs);
        let made = subject.journal().len() - before;
        assert!(made <= STEP_MAX, "one step made {made} entries");
    }
    subject
}

/// The next writer opens, meets one more crash after `steps` answers, and is obliged until all is done.
fn go_on(mut subject: Subject, steps: usize) {
    open(&mut subject);
    (0..steps).for_each(|_| oblige(&mut subject));
    subject.crash(1_000);
    open(&mut subject);
    settle(&mut subject);
    each_message_has_its_done(subject.journal());
}

fn open(subject: &mut Subject) {
    subject.at("the next writer");
    let exists = subject.state().template.is_some();
    let inputs = [OPEN].into_iter().chain((!exists).then(create));
    let _ = subject.inputs(inputs).expect("a writer opens what it found");
}

fn create() -> Input {
    Input::Create { template: kode_core::id::TemplateId::new("random"), metadata: Map::new() }
}

/// Every accepted message is in exactly one `done`, and no other is.
fn each_message_has_its_done(journal: &[Entry]) {
    let mut open: BTreeMap<&MessageId, usize> = BTreeMap::new();
    for entry in journal {
        match &entry.fact {
            Fact::MessageQueued { id, .. } => drop(open.insert(id, 0)),
            Fact::TurnEnded { messages, .. } => {
                messages
                    .iter()
                    .for_each(|id| *open.get_mut(id).expect("a done names what was accepted") += 1);
            }
            _ => {}
        }
    }
    let wrong: Vec<_> = open.into_iter().filter(|(_, dones)| *dones != 1).collect();
    assert!(wrong.is_empty(), "messages and the dones that name them: {wrong:?}");
}

/// A key queues one message in a day, whatever came between.
fn each_key_queues_once(journal: &[Entry]) {
    let mut last: BTreeMap<&str, Millis> = BTreeMap::new();
    for entry in journal {
        let Fact::MessageQueued { key: Some(key), .. } = &entry.fact else { continue };
        let before = last.insert(&key.key, entry.at);
        assert!(before.is_none_or(|at| at + DAY <= entry.at), "key {} queued twice in a day", key.key);
    }
}
