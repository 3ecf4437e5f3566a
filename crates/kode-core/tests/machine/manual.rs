//! A resume that leaves it to the host what became of running calls. Scenarios 26 and 28.

use crate::check::check;

/// Nothing is sealed, nothing runs again and nothing else of the round begins before the host's word.
#[test]
fn g3_the_host_settles_each_call_that_ran() {
    check(
        "manual_settled",
        r#"
        template parallel 2; tool_timeout 10s; turn 60s
        start
        say "deploy"
        answer; calls bash_run{"n":0}, fs_read{"path":"a"}, bash_run{"n":2}
        crash for 1h manual
        advance 1h
        settle call_1_0 ok {"code":0} by alice
        settle call_1_0 ok {"code":0}
        settle call_1_2 unknown
        settle call_1_1 error gone "the file was moved"
        advance 1s
        tool call_1_2 ok "done"
        prompt
        answer "deployed"
        "#,
    );
}

/// The host may not know either: the model is told so.
#[test]
fn g3_what_nobody_knows_is_unknown() {
    check(
        "manual_unknown",
        r#"
        start
        say "deploy"
        answer; calls bash_run{}
        crash manual
        settle call_1_0 unknown
        prompt
        answer "unknown"
        "#,
    );
}

/// A stop waits for no host, and neither does the next writer that comes as after a crash.
#[test]
fn g2_an_interrupt_or_the_usual_start_ends_the_waiting() {
    check(
        "manual_given_up",
        r#"
        start
        say "one"
        answer; calls bash_run{}
        crash manual
        interrupt
        say "two"
        answer; calls bash_run{}
        crash manual
        crash
        answer "unknown"
        "#,
    );
}

/// A call that runs under this writer, one that never ran and one that is over are not the host's to settle.
#[test]
fn only_a_call_that_waits_for_it_is_settled() {
    check(
        "manual_refusals",
        r#"
        template ask fs_write
        start
        say "go"
        answer; calls bash_run{}, fs_write{}
        settle call_1_0 ok 1
        crash manual
        settle call_1_1 ok 1
        settle call_9_0 ok 1
        settle call_1_0 ok 1
        settle call_1_0 ok 2
        decide call_1_1 deny
        answer "ok"
        "#,
    );
}

/// An answer that was under way has no effect on the world: it is asked for again at once.
#[test]
fn g1_the_model_is_asked_again_without_the_host() {
    check(
        "manual_at_the_model",
        r#"
        start
        say "hello"
        delta "Hel"
        crash manual
        answer "Hello"
        "#,
    );
}
