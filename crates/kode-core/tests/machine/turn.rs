//! The life of a turn without tools.

use kode_testkit::scenario::Scenario;

use crate::check::check;

/// Scenarios 1, 2 and 4.
#[test]
fn a_plain_turn_streams_and_ends_with_one_done() {
    check(
        "plain_turn",
        r#"
        start
        say "hello"
        delta "Hel"
        advance 2s
        delta "lo"
        answer " World"
        "#,
    );
}

/// Scenario 3: later turns see all earlier messages.
#[test]
fn three_turns_make_six_messages() {
    check(
        "three_turns",
        r#"
        start
        say "one"
        answer "1"
        say "two"
        answer "2"
        say "three"
        prompt
        answer "3"
        "#,
    );
}

/// Scenarios 10 and 11: hidden, and still sent back to the model within its loop.
#[test]
fn thinking_is_hidden_by_default() {
    check(
        "thinking_hidden",
        r#"
        start
        say "hello"
        think "hm, "
        think "yes"
        delta "Hi"
        answer
        "#,
    );
}

/// Scenarios 10 and 11: thinking ends before text begins, which upstream does not see to with GLM [S].
#[test]
fn thinking_is_told_where_the_template_exposes_it() {
    check(
        "thinking_exposed",
        r#"
        template expose_thinking
        start
        say "hello"
        think "hm, "
        think "yes"
        delta "Hi"
        answer
        say "again"
        delta "text first"
        think "then a thought"
        answer
        "#,
    );
}

/// Thinking alone, then a tool: the block ends with the answer, and the thought stays with its call.
#[test]
fn a_block_that_is_open_at_the_answer_gets_its_end() {
    check(
        "open_block_ends_with_the_answer",
        r#"
        template expose_thinking
        start
        say "look"
        think "I should read"
        answer; calls fs_read{"path":"a"}
        tool call_1_0 ok "A"
        prompt
        answer "A it is"
        "#,
    );
}

/// A user of the scenarios reads the structure too, not the text alone.
#[test]
fn what_was_played_can_be_asked_for_its_parts() {
    let played = Scenario::parse("start\nsay \"hi\"\nanswer \"ho\"").unwrap().play();
    let types: Vec<_> = played.events().map(|e| e.event.channel()).collect();
    assert_eq!((types.len(), played.beats.len()), (12, 3));
    assert_eq!(played.subject.state().transcript.last().map(|m| m.text()), Some("ho".to_owned()));
    assert!(played.subject.state().at_rest() && played.subject.deadline().is_none());
}

/// A line that cannot be read is named with its number and its reason.
#[test]
fn a_script_that_cannot_be_read_says_where_and_why() {
    let why = |script: &str| Scenario::parse(script).map(drop).unwrap_err().to_string();
    assert_eq!(
        why("start\n\nsay hello"),
        "line 3 of the script, `say hello`: what is said is no JSON of the right shape: expected value at line 1 column 1"
    );
    assert_eq!(why("fly"), "line 1 of the script, `fly`: \"fly\" is no command");
    assert_eq!(
        why("advance 5 s"),
        "line 1 of the script, `advance 5 s`: \"5\" is no time such as 250ms, 5s, 2m, 1h"
    );
    assert_eq!(why("start now"), "line 1 of the script, `start now`: \"now\" is too much here");
}
