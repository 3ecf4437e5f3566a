//! What may go of a journal once its answers are over: their pieces, and with a retention whatever was only told.

use kode_core::elide::Eliding;
use kode_core::event::Event;
use kode_core::fact::{Entry, Fact};
use kode_core::id::{Millis, Seq};
use kode_core::machine::{State, project};
use kode_core::store::Elision;
use kode_testkit::rounds::cases;
use kode_testkit::scenario::Scenario;
use kode_testkit::store_suite::elision::elided;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::ops::life;
use crate::properties::live;
use crate::world::settle;

fn runs(journal: &[Entry], forget_before: Millis) -> Vec<Elision> {
    let mut eliding = Eliding::forgetting_before(forget_before);
    journal.iter().for_each(|entry| eliding.take(entry));
    eliding.runs()
}

fn elide(journal: &[Entry], forget_before: Millis) -> Vec<Entry> {
    elided(journal, &runs(journal, forget_before))
}

fn fold(journal: &[Entry]) -> State {
    let mut state = State::default();
    journal.iter().for_each(|entry| state.evolve(entry));
    state
}

/// Whether an event of this entry is told after the elision too.
fn stays(entry: &Entry, event: &Event, forget_before: Millis) -> bool {
    let old = entry.at < forget_before;
    match &entry.fact {
        Fact::ModelChunk { .. } => {
            !old && !matches!(event, Event::TextChunk { .. } | Event::ThinkChunk { .. })
        }
        Fact::ToolEmitted { .. } => !old,
        _ => true,
    }
}

/// The same state, the same events under the same cursors without those that go, and places of the old journal for
/// all that is left. To elide again finds nothing, until more is to be forgotten.
fn check_elided(journal: &[Entry], before: Millis) {
    let left = elide(journal, before);
    assert_eq!(fold(&left), fold(journal));
    let told: Vec<_> = left.iter().flat_map(project).collect();
    let expected = journal.iter().flat_map(|entry| {
        project(entry).into_iter().filter(|envelope| stays(entry, &envelope.event, before))
    });
    assert_eq!(told, expected.collect::<Vec<_>>());
    for entry in &left {
        let old = &journal[entry.seq.0 as usize - 1];
        let place = |of: &Entry| (of.seq, of.epoch, of.at, of.last_cursor());
        assert_eq!(place(entry), place(old));
    }
    assert_eq!(runs(&left, before), []);
    assert_eq!(elide(&left, Millis::MAX), elide(journal, Millis::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases("elided lives", 60, 1_200), ..ProptestConfig::default() })]

    /// G4 and G12, for any life and any age of what is to be forgotten.
    #[test]
    fn g12_an_elided_life_folds_to_the_same_state((setup, ops) in life(30), border in prop::option::of(any::<Index>())) {
        let mut subject = live(setup, &ops);
        settle(&mut subject);
        check_elided(subject.journal(), border.map_or(0, |border| border.get(subject.journal()).at));
    }
}

/// First and last seq of each run, and how many starts and ends of blocks it keeps.
fn shape(journal: &[Entry], forget_before: Millis) -> Vec<(u64, u64, usize)> {
    let kept = |entry: &Entry| match &entry.fact {
        Fact::Elided { kept, .. } => kept.len(),
        other => panic!("a run is left as {other:?}"),
    };
    let shape = |run: &Elision| (run.from.0, run.entry.seq.0, kept(&run.entry));
    runs(journal, forget_before).iter().map(shape).collect()
}

/// One entry is left of each answer's pieces; what is as old as the retention, and no older, is still told.
#[test]
fn g10_the_pieces_of_an_answer_leave_one_entry() {
    let played = Scenario::parse(
        r#"
        template expose_thinking
        start
        say "go"
        think "hm"
        delta "one, "
        delta "two"
        answer; calls bash_run{}
        emit call_1_0 note 1
        emit call_1_0 note 2
        advance 5s
        emit call_1_0 note 3
        tool call_1_0 ok null
        delta "three"
        answer
        "#,
    );
    let subject = played.expect("the script is right").play().subject;
    let journal = subject.journal();
    let seqs = |told: fn(&Fact) -> bool| {
        journal.iter().filter(|entry| told(&entry.fact)).map(|entry| entry.seq.0).collect::<Vec<_>>()
    };
    let pieces = seqs(|fact| matches!(fact, Fact::ModelChunk { .. }));
    let emitted = seqs(|fact| matches!(fact, Fact::ToolEmitted { .. }));
    let ([first, _, third, last], [one, two, three]) =
        (pieces[..].try_into().unwrap(), emitted[..].try_into().unwrap());
    assert_eq!(shape(journal, 0), [(first, third, 3), (last, last, 1)]);
    let at = |seq: u64| journal[seq as usize - 1].at;
    assert_eq!(at(two) + 5_000, at(three));
    assert_eq!(shape(journal, at(one)), shape(journal, 0), "as old as the retention");
    assert_eq!(shape(journal, at(three)), [(first, third, 0), (one, two, 0), (last, last, 1)]);
    assert_eq!(shape(journal, Millis::MAX), [(first, third, 0), (one, three, 0), (last, last, 0)]);
    [0, at(one), at(three), Millis::MAX].into_iter().for_each(|before| check_elided(journal, before));
    // What may go on stays as it is.
    let unfinished: Vec<Entry> =
        journal.iter().take_while(|entry| entry.seq <= Seq(third)).cloned().collect();
    assert_eq!(shape(&unfinished, Millis::MAX), []);
}
