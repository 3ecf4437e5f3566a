//! Attempts at the model: failures, retries, limits of tokens.

use crate::check::check;

/// Scenario 35. What a failed attempt had shown is void before the next one shows anything; upstream gives the answer
/// before it instead [S].
#[test]
fn g9_a_failed_attempt_is_voided_and_tried_again() {
    check(
        "retry_with_reset",
        r#"
        start
        say "hello"
        delta "Hal"
        fail upstream_interrupted "the stream broke" code 1234
        advance 500ms
        advance 10s
        delta "Hello"
        answer
        "#,
    );
}

/// HTTP section 3: at most 4 attempts and less than 20 s of back-off.
#[test]
fn g9_four_attempts_then_the_turn_has_failed() {
    check(
        "four_attempts",
        r#"
        start
        say "hello"
        fail overloaded
        advance 20s
        fail server
        advance 20s
        delta "half an"
        fail truncated_stream
        advance 20s
        delta "half an answer"
        fail truncated_stream "it ended without a finish"
        say "and now?"
        prompt
        answer "yes"
        "#,
    );
}

/// Scenario 35.
#[test]
fn g9_a_failure_that_no_attempt_mends_ends_the_turn() {
    check(
        "not_retryable",
        r#"
        start
        say "hello"
        think "hidden"
        fail auth "the key is wrong" code 1002
        "#,
    );
}

/// Scenario 35. The provider's wish is kept, up to two minutes.
#[test]
fn a_retry_waits_as_long_as_the_provider_asks() {
    check(
        "retry_after",
        r#"
        start
        say "hello"
        fail rate_limited retry_after 30s
        advance 29s
        advance 1s
        fail rate_limited retry_after 10ms
        advance 5s
        fail rate_limited retry_after 121s
        "#,
    );
}

/// Two minutes are still waited for, and not a moment longer.
#[test]
fn a_wish_of_just_two_minutes_is_kept() {
    check(
        "retry_after_two_minutes",
        r#"
        start
        say "hello"
        fail rate_limited retry_after 120s
        advance 120s
        fail rate_limited retry_after 120001ms
        "#,
    );
}

/// An empty answer is no answer: once more, then an error.
#[test]
fn g9_an_empty_answer_is_tried_once_more() {
    check(
        "empty_answer",
        r#"
        start
        say "hello"
        think "only a thought"
        answer
        advance 5s
        answer "  "
        "#,
    );
}

/// An answer that was cut is shown, kept, and not called whole.
#[test]
fn g9_an_answer_cut_at_the_token_limit_ends_as_limit() {
    check(
        "length_with_text",
        r#"
        template max_tokens 3
        start
        say "tell me all"
        answer "Once upon a" finish length
        say "go on"
        answer finish length
        "#,
    );
}

/// The last call may be cut in the middle of its arguments: none is run, and the model can try again.
#[test]
fn g9_calls_of_a_cut_answer_are_never_run() {
    check(
        "length_with_calls",
        r#"
        template max_tokens 100
        start
        say "write"
        answer "I'll write" finish length; calls fs_write{"path":"a","content":"x"}, fs_write"{\"path\":\"b\",\"cont"
        prompt
        answer "It was too long"
        "#,
    );
}

/// Pieces and ends of attempts that were given up are forgotten.
#[test]
fn what_comes_from_an_attempt_that_ended_is_too_late() {
    check(
        "late_model",
        r#"
        start
        say "hello"
        fail network
        delta at 1.1 "late"
        answer at 1.1 "late"
        fail at 1.1 network
        advance 5s
        delta at 1.1 "later"
        answer at 1.2 "in time"
        answer at 1.2 "twice"
        "#,
    );
}
