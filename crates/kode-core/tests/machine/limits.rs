//! Limits of a turn.

use kode_testkit::scenario::Scenario;

use crate::check::check;

/// BEHAVIOUR, turn 2.
#[test]
fn g10_a_looping_model_reaches_max_steps() {
    check(
        "max_steps",
        r#"
        template max_steps 2
        start
        say "loop"
        answer; calls fs_read{"n":1}
        tool call_1_0 ok 1
        answer; calls fs_read{"n":2}
        say "wait" steer
        tool call_2_0 ok 2
        answer "next turn"
        "#,
    );
}

/// The model is stopped in mid-stream when the turn's time is over.
#[test]
fn g10_a_turn_has_its_time() {
    check(
        "turn_secs_model",
        r#"
        template turn 60s
        start
        say "think long"
        delta "well"
        advance 59s
        advance 1s
        say "again"
        answer "fine"
        "#,
    );
}

/// Running tools are stopped like by an interrupt, within bounds.
#[test]
fn g10_a_turns_time_ends_its_tools() {
    check(
        "turn_secs_tools",
        r#"
        template turn 60s; parallel 1
        start
        say "work"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        advance 60s
        advance 5s
        "#,
    );
}

/// An undecided call and a running one: the time counts, and its end settles the approval.
#[test]
fn g6_a_turns_time_settles_an_approval() {
    check(
        "turn_secs_approval",
        r#"
        template turn 60s; ask fs_write
        start
        say "work"
        answer; calls fs_write{"n":0}, fs_write{"n":1}
        advance 100s
        decide call_1_0 allow
        advance 60s
        gone call_1_0
        "#,
    );
}

/// Neither PAUSED nor the time without a writer counts.
#[test]
fn a_turns_time_stands_still_while_paused_or_down() {
    check(
        "turn_secs_pause_and_downtime",
        r#"
        template turn 60s; ask fs_write; tool_timeout 1h
        start
        say "work"
        advance 20s
        answer; calls fs_write{}
        advance 100s
        crash for 1000s
        advance 100s
        decide call_1_0 allow
        advance 20s
        tool call_1_0 ok 1
        crash for 1000s
        advance 19s
        advance 1s
        "#,
    );
}

/// A template may hold any number: none of them overflows.
#[test]
fn g10_limits_without_end_never_come() {
    check(
        "limits_without_end",
        r#"
        template ask fs_write; turn 18446744073709551s; tool_timeout 18446744073709551s; expire 18446744073709551s
        start
        say "go"
        answer; calls fs_write{}, bash_run{}
        tool call_1_1 ok 1
        decide call_1_0 allow
        "#,
    );
}

/// A turn that may not take a single step says so.
#[test]
fn g10_a_limit_of_nothing_is_a_limit() {
    check(
        "limit_of_nothing",
        r#"
        template max_steps 0
        start
        say "go"
        template turn 0s
        say "go"
        "#,
    );
}

/// What waits for one agent is bounded: past it a message is refused, and nothing that waits is lost.
#[test]
fn g10_messages_beyond_the_queues_bound_are_refused() {
    let says = "say \"next\"\n".repeat(257);
    let told = Scenario::run(&format!("start\nsay \"first\"\n{says}"));
    assert_eq!(told.matches("message_queued").count(), 257, "the first one runs, 256 wait");
    assert_eq!(told.matches("too many messages wait").count(), 1);
}
