//! Every way in which `accept` says no that other scenarios do not show, and that a refusal changes nothing.

use crate::check::check;

/// Before an agent exists there is nothing to talk to.
#[test]
fn g7_an_agent_that_does_not_exist_takes_nothing() {
    check(
        "no_agent",
        r#"
        say "too early"
        open
        say "still too early"
        todos []
        interrupt
        decide call_1_0 allow
        tool call_1_0 ok 1
        delta "x"
        create
        create
        "#,
    );
}

/// A message says something.
#[test]
fn a_message_needs_a_text() {
    check(
        "empty_message",
        r#"
        start
        say ""
        say " \n\t"
        say "." key k1
        say "" key k1
        "#,
    );
}
