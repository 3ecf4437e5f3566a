//! Messages that arrive while a run is under way, and requests that come twice.

use crate::check::check;

/// Several queued messages are taken together, and the agent is not READY between the turns.
#[test]
fn g1_queued_messages_start_the_next_turn_without_flicker() {
    check(
        "queue_during_a_turn",
        r#"
        start
        say "one"
        say "two"
        say "three" queue
        answer "1"
        prompt
        answer "2 and 3"
        "#,
    );
}

/// HTTP, `steer`: at the next point where every call has its result; what is queued waits for its turn.
#[test]
fn g2_a_steer_joins_after_the_results() {
    check(
        "steer",
        r#"
        start
        say "one"
        answer; calls fs_read{}
        say "rather b" steer
        say "later" queue
        say "and c" steer
        tool call_1_0 ok "A"
        prompt
        answer "b and c"
        answer "later"
        "#,
    );
}

/// A steer that finds no such point starts the next turn.
#[test]
fn g1_a_steer_without_a_point_starts_the_next_turn() {
    check(
        "steer_without_a_point",
        r#"
        start
        say "one"
        delta "1"
        say "two" steer
        answer
        answer "2"
        say "alone" steer
        answer "3"
        "#,
    );
}

/// The run is stopped, then the message runs; idle, it just runs.
#[test]
fn g1_a_message_that_interrupts() {
    check(
        "message_interrupts",
        r#"
        start
        say "first" interrupt
        delta "slow"
        say "no, this" interrupt
        answer; calls bash_run{}
        say "and this" interrupt
        say "and that" interrupt
        gone call_2_0
        answer "ok"
        "#,
    );
}

/// Refused while busy, accepted at rest.
#[test]
fn a_message_that_will_not_wait() {
    check(
        "message_rejects",
        r#"
        start
        say "first" reject
        say "second" reject
        answer "1"
        say "third" reject
        answer "3"
        "#,
    );
}

/// HTTP, `Idempotency-Key`: the first answer for a repeat, at once, later, busy or over a crash; a refusal
/// for another body.
#[test]
fn g1_a_repeated_request_queues_nothing() {
    check(
        "idempotency",
        r#"
        start
        say "pay" key k1
        say "pay" key k1
        say "pay twice" key k1
        answer "paid"
        crash for 23h
        say "pay" key k1
        say "pay" key k2
        answer "paid again"
        "#,
    );
}

/// Kept at least 24 h, and not for ever.
#[test]
fn an_idempotency_key_is_forgotten_in_the_end() {
    check(
        "idempotency_retention",
        r#"
        start
        say "a" key k1
        answer "1"
        advance 24h
        say "a" key k1
        say "b" key k2
        answer "2"
        say "a" key k1
        answer "3"
        "#,
    );
}

/// A day is a day, whatever other keys came meanwhile.
#[test]
fn g1_an_idempotency_key_is_known_for_the_whole_day() {
    check(
        "idempotency_a_day",
        r#"
        start
        say "a" key k1
        answer "1"
        advance 23h
        say "b" key k2
        answer "2"
        say "a" key k1
        advance 1h
        say "c" key k3
        answer "3"
        say "a" key k1
        answer "4"
        "#,
    );
}
