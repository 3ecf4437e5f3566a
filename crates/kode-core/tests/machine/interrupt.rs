//! Interrupts, at every place where an agent can be. Scenario 34 throughout: upstream leaves
//! the stream running, gives two results, or loses the next message [S].

use crate::check::check;

/// Nothing happens, and the next message works.
#[test]
fn idle() {
    check(
        "interrupt_idle",
        r#"
        start
        interrupt "now"
        say "hello"
        answer "hi"
        interrupt
        "#,
    );
}

/// The block gets its end, the text stays and is marked, and late pieces are forgotten.
#[test]
fn in_mid_stream() {
    check(
        "interrupt_mid_stream",
        r#"
        template expose_thinking
        start
        say "tell a story"
        think "a long one"
        delta "Once upon"
        interrupt "too long" by alice
        delta at 1.1 " a time"
        gone model
        say "shorter"
        prompt
        interrupt
        say "still there?"
        answer "yes"
        "#,
    );
}

/// A started call waits until its processes are gone, the others end at once.
#[test]
fn g2_in_tools_that_end_before_the_grace_is_over() {
    check(
        "interrupt_tools_gone",
        r#"
        template parallel 2
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}, bash_run{"n":2}
        interrupt "stop it" by alice
        interrupt "again" by bob
        gone call_1_2
        advance 1s
        gone call_1_1
        advance 1s
        tool call_1_0 ok "it was done already"
        say "and now?"
        prompt
        answer "fine"
        "#,
    );
}

/// What ignores its end is given up after the grace.
#[test]
fn g2_in_tools_that_ignore_their_end() {
    check(
        "interrupt_tools_past_grace",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        interrupt
        advance 4s
        advance 1s
        gone call_1_0
        tool call_1_0 ok "late"
        "#,
    );
}

/// Pending approvals are settled, and cannot be decided any more.
#[test]
fn g6_while_paused() {
    check(
        "interrupt_paused",
        r#"
        template ask bash_run
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        interrupt "enough"
        decide call_1_0 allow
        "#,
    );
}

/// Hooks that are asked lose their say.
#[test]
fn while_hooks_are_asked() {
    check(
        "interrupt_hooks",
        r#"
        template hooks
        start
        say "go"
        answer; calls bash_run{}
        interrupt
        hook call_1_0 continue
        "#,
    );
}

/// No further attempt is made.
#[test]
fn in_back_off() {
    check(
        "interrupt_back_off",
        r#"
        start
        say "go"
        delta "so"
        fail network
        interrupt
        advance 60s
        "#,
    );
}

/// A crash after the stop was asked for: the stop is kept, nothing is started again.
#[test]
fn g3_a_stop_outlives_a_crash() {
    check(
        "interrupt_then_crash",
        r#"
        start
        say "go"
        answer; calls bash_run{}, fs_read{}
        interrupt "stop"
        say "next"
        crash for 1s
        answer "next it is"
        "#,
    );
}
