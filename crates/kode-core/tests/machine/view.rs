//! What readers see of an agent, the snapshot that follows from its state, and what the driver sees of a step.

use kode_core::id::{CallId, Seq, TemplateId};
use kode_core::machine::{Input, Strategy, View};
use kode_core::store::Durability;
use kode_testkit::scenario::{Scenario, Setup, Subject};

/// The view at the end of a script.
fn seen(script: &str) -> View {
    let played = Scenario::parse(script).expect("the script is right").play();
    View::of(played.subject.state())
}

/// Scenario 18. Exactly the calls that wait for a person are shown as such, and no longer than they do.
#[test]
fn g6_what_waits_for_a_person_is_seen_and_nothing_else() {
    let asked = r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_read{"n":1}, fs_write{"n":2}
        tool call_1_1 ok 1
    "#;
    let waits = |view: &View, n: usize| view.awaits(&CallId::of(1, n));
    let view = seen(asked);
    assert_eq!([0, 1, 2].map(|n| waits(&view, n)), [true, false, true]);
    let view = seen(&format!("{asked}\ndecide call_1_0 allow"));
    assert_eq!([0, 1, 2].map(|n| waits(&view, n)), [false, false, true]);
    let view = seen(&format!("{asked}\ninterrupt"));
    assert_eq!([0, 1, 2].map(|n| waits(&view, n)), [false, false, false]);
}

/// A batch names the head that the journal must have before it, and is empty only where there is nothing to append.
#[test]
fn g5_a_batch_names_the_head_that_it_follows() {
    let mut subject = Subject::new(Setup::default());
    let create = Input::Create { template: TemplateId::new("t"), metadata: serde_json::Map::new() };
    let first = subject.inputs([Input::Open { strategy: Strategy::Crash }, create]).unwrap();
    assert_eq!((first.expected(), first.is_empty(), first.entries.len()), (Some(Seq::ZERO), false, 2));
    assert_eq!(first.grade(), Durability::Synced);
    let second = subject.input(Input::SetTodos { todos: Vec::new(), version: None }).unwrap();
    assert_eq!(second.expected(), Some(Seq(2)));
    let nothing = subject.input(Input::Tick).unwrap();
    assert_eq!((nothing.expected(), nothing.is_empty()), (None, true));
}
