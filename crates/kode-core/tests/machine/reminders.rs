//! Reminders of the todo list. Scenario 36.

use crate::check::check;

/// Every so many steps without a change of the list, and only then.
#[test]
fn open_todos_are_reminded_of_after_quiet_steps() {
    check(
        "reminder_after_steps",
        r#"
        template remind 2
        start
        todos [{"id":"a","title":"paint","status":"in_progress"}, {"id":"b","title":"dry","status":"completed"}]
        say "go"
        answer; calls fs_read{"n":1}
        tool call_1_0 ok 1
        answer; calls fs_read{"n":2}
        tool call_2_0 ok 2
        prompt
        answer; calls fs_read{"n":3}
        todos [{"id":"a","title":"paint","status":"in_progress"}]
        tool call_3_0 ok 3
        answer; calls fs_read{"n":4}
        tool call_4_0 ok 4
        answer; calls fs_read{"n":5}
        crash
        tool call_5_0 ok 5
        answer "done"
        "#,
    );
}

/// When a turn begins, where the template says so; once a turn, also over a crash.
#[test]
fn open_todos_are_reminded_of_when_a_turn_begins() {
    check(
        "reminder_on_start",
        r#"
        template remind 0; remind_on_start
        start
        say "nothing to remind of"
        answer "no"
        todos [{"id":"a","title":"paint","status":"pending"}]
        say "go"
        crash
        fail network
        advance 2s
        answer "painted"
        todos [{"id":"a","title":"paint","status":"completed"}]
        say "all done?"
        answer "yes"
        "#,
    );
}

/// An empty list is told of once, and only where the model could keep one.
#[test]
fn an_empty_list_is_told_of_once() {
    check(
        "reminder_of_an_empty_list",
        r#"
        template remind 1; offers todo_write; language zh
        start
        say "go"
        answer; calls fs_read{"n":1}
        tool call_1_0 ok 1
        prompt
        answer; calls fs_read{"n":2}
        tool call_2_0 ok 2
        answer "done"
        template remind 1; offers fs_read
        say "go"
        answer "no list to keep"
        "#,
    );
}

/// Nothing without `enabled`, whatever else is set.
#[test]
fn nobody_is_reminded_who_did_not_ask_for_it() {
    check(
        "reminder_not_enabled",
        r#"
        template remind_on_start; offers todo_write
        start
        todos [{"id":"a","title":"paint","status":"pending"}]
        say "go"
        answer; calls fs_read{"n":1}
        tool call_1_0 ok 1
        answer "done"
        "#,
    );
}

/// A reminder is no request: a compaction keeps what the user asked for.
#[test]
fn a_reminder_does_not_take_the_place_of_the_request() {
    check(
        "reminder_and_compaction",
        r#"
        template window 1000; max_tokens 100; remind 1
        start
        todos [{"id":"a","title":"paint","status":"pending"}]
        say "paint the fence"
        answer; calls bash_run{"n":1}
        tool call_1_0 bytes 1200
        answer; calls bash_run{"n":2}
        tool call_2_0 bytes 1600
        summary "The fence is half done."
        prompt
        answer "done"
        "#,
    );
}
