//! What readers see of an agent: the snapshot that follows from its state.

use kode_core::id::CallId;
use kode_core::machine::View;
use kode_testkit::scenario::Scenario;

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
