//! A writer that ends without a word, at each place of a turn. Scenarios 22, 26 and 27.

use crate::check::check;

/// What was shown is void, and the same step is tried again.
#[test]
fn g1_at_the_model() {
    check(
        "crash_at_the_model",
        r#"
        start
        say "hello"
        delta "Hel"
        crash for 7s
        delta at 1.1 "lo"
        delta "Hello"
        answer
        "#,
    );
}

/// Lost attempts are not failed ones: the four are left.
#[test]
fn g1_in_back_off() {
    check(
        "crash_in_back_off",
        r#"
        start
        say "hello"
        fail network
        crash
        advance 60s
        crash
        fail network
        crash for 60s
        fail network
        advance 60s
        fail network
        "#,
    );
}

/// Scenario 26: unknown, and never run again.
#[test]
fn g3_at_a_tool_that_is_not_replayable() {
    check(
        "crash_at_a_tool",
        r#"
        template parallel 1
        start
        say "deploy"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        crash for 5s
        tool call_1_0 ok "late"
        tool call_1_1 ok "done"
        prompt
        answer "one of two is unknown"
        "#,
    );
}

/// Once more, under a new start; the result of the old one does not count.
#[test]
fn g3_at_a_tool_that_is_replayable() {
    check(
        "crash_at_a_replayable_tool",
        r#"
        template tool_timeout 10s
        start
        say "read"
        answer; calls fs_read{"path":"a"}, bash_run{}
        crash for 30s
        tool call_1_0 attempt 1 ok "old"
        tool call_1_0 ok "new"
        answer "read"
        "#,
    );
}

/// A replayable call of a run that is being stopped is not started again, and `sealed` says so.
#[test]
fn g3_at_a_replayable_tool_of_a_stopped_run() {
    check(
        "crash_at_a_stopped_replayable_tool",
        r#"
        start
        say "read"
        answer; calls fs_read{"path":"a"}
        interrupt
        crash
        "#,
    );
}

/// Nothing was under way: nothing but the epoch changes.
#[test]
fn g1_at_rest() {
    check(
        "crash_at_rest",
        r#"
        start
        crash
        say "hello"
        answer "hi"
        crash
        crash
        say "again"
        answer "hi again"
        "#,
    );
}

/// A crash between `open` and `create`: the agent still does not exist.
#[test]
fn before_the_agent_exists() {
    check(
        "crash_before_create",
        r#"
        open
        crash
        create
        "#,
    );
}
