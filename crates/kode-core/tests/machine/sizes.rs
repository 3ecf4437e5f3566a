//! The context: what is counted of a history and what is not, and how much of it is kept, at the borders.

use kode_core::id::Seq;
use kode_testkit::scenario::Scenario;

use crate::check::check;

/// Reasoning is sent in its own turn, so there it counts: without it this turn would not be condensed.
#[test]
fn reasoning_counts_in_its_own_turn() {
    let thought = "hm, so. ".repeat(150);
    check(
        "compaction_counts_reasoning",
        &format!(
            r#"
            template window 1000; max_tokens 100
            start
            say "think hard"
            think "{thought}"
            answer; calls fs_read{{"n":1}}
            tool call_1_0 bytes 400
            think "{thought}"
            answer; calls fs_read{{"n":2}}
            tool call_2_0 bytes 400
            summary "The first file holds digits."
            answer "done"
            say bytes 1600
            answer "also done"
            "#
        ),
    );
}

/// In later turns it is not sent and does not count.
#[test]
fn reasoning_of_older_turns_is_not_counted() {
    let thought = "hm, so. ".repeat(300);
    check(
        "compaction_counts_no_old_reasoning",
        &format!(
            r#"
            template window 1000; max_tokens 100
            start
            say "think hard"
            think "{thought}"
            answer "I thought."
            say bytes 1600
            answer "fits"
            "#
        ),
    );
}

/// What would win less than an eighth is left alone while an answer still fits, and done once none does.
#[test]
fn a_compaction_that_wins_little_waits_until_no_answer_fits() {
    check(
        "compaction_waits",
        r#"
        template window 1000; max_tokens 100
        start
        say bytes 2400
        answer; calls fs_read{"n":1}
        tool call_1_0 bytes 480
        answer; calls fs_read{"n":2}
        tool call_2_0 bytes 160
        answer; calls fs_read{"n":3}
        tool call_3_0 bytes 160
        summary "three files"
        answer; calls fs_read{"n":4}
        tool call_4_0 bytes 720
        summary "four files"
        answer "enough"
        "#,
    );
}

/// Of the requests of one turn, older ones stay while they take no more than half of what is aimed at.
#[test]
fn old_requests_that_are_too_long_are_summed_up() {
    check(
        "compaction_drops_long_requests",
        r#"
        template window 1000; max_tokens 100
        start
        say bytes 800
        answer; calls bash_run{"n":1}
        say bytes 400 steer
        tool call_1_0 bytes 1600
        answer; calls bash_run{"n":2}
        tool call_2_0 bytes 800
        summary "They want it painted."
        answer "painted"
        "#,
    );
}

/// The round under way stays, calls with results, also where a message has joined behind it.
#[test]
fn g2_the_round_under_way_stays_behind_a_steer() {
    check(
        "compaction_behind_a_steer",
        r#"
        template window 1000; max_tokens 100
        start
        say "paint the fence"
        answer bytes 1200; calls bash_run{"n":1}
        say "in green" steer
        tool call_1_0 bytes 2000
        prompt
        answer "green"
        "#,
    );
}

/// Open items go along with the summary, so they take of the room for the rest.
#[test]
fn a_long_todo_list_is_counted() {
    let todo =
        |n: usize| format!(r#"{{"id":"{n}","title":"{}","status":"pending"}}"#, "paint the fence ".repeat(6));
    let todos = (0..8).map(todo).collect::<Vec<_>>().join(", ");
    check(
        "compaction_with_a_long_list",
        &format!(
            r#"
            template window 1000; max_tokens 100
            start
            todos [{todos}]
            say bytes 1200
            answer bytes 1200
            say bytes 400
            answer bytes 400
            say bytes 160
            summary "They paint."
            answer "painted"
            "#
        ),
    );
}

/// Room for an answer is kept, but never more than half of the window, whatever the limit of an answer is.
#[test]
fn half_of_the_window_is_the_prompts() {
    check(
        "compaction_for_a_long_answer",
        r#"
        template window 1000; max_tokens 4000
        start
        say bytes 800
        answer bytes 800
        say bytes 320
        answer bytes 320
        say "more"
        summary "digits"
        answer "no more"
        "#,
    );
}

/// Nobody knows the window: the request for a summary takes half of what was refused as too long.
#[test]
fn without_a_window_a_summary_is_made_of_half() {
    check(
        "compaction_without_a_window",
        r#"
        start
        say bytes 12000
        answer bytes 12000
        say bytes 400
        fail context_overflow
        prompt
        summary "digits"
        answer "fits"
        "#,
    );
}

/// What a tool was called with is shortened in the request for a summary, so that no long file is sent once more.
#[test]
fn a_long_input_is_shortened_where_it_is_summed_up() {
    let content = "0123456789".repeat(220);
    check(
        "compaction_of_a_long_input",
        &format!(
            r#"
            template window 1000; max_tokens 100
            start
            say "write it"
            answer; calls fs_write{{"content":"{content}"}}
            tool call_1_0 ok 1
            answer; calls fs_read{{"n":1}}
            tool call_2_0 bytes 800
            prompt
            summary "It is written."
            answer "done"
            "#
        ),
    );
}

/// A summary may fill its room and no more.
#[test]
fn a_summary_may_fill_its_room() {
    // Four letters are a token, and the room is of 125.
    let (fits, too_long) = ("x".repeat(500), "x".repeat(501));
    check(
        "compaction_fills_its_room",
        &format!(
            r#"
            template window 1000; max_tokens 100
            start
            say bytes 1200
            answer bytes 1200
            say bytes 800
            summary "{too_long}"
            advance 2s
            summary "{fits}"
            answer "done"
            "#
        ),
    );
}

/// What a fork reads in place of its parent's history has a place in the fork's own journal.
#[test]
fn a_forks_digest_lies_in_its_own_journal() {
    let script = r#"
        template window 1000; max_tokens 100
        start
        say bytes 1200
        answer bytes 1200
        say bytes 800
        summary "They want a report."
        answer "here it is"
        fork as other
        say "thanks"
    "#;
    let fork = Scenario::parse(script).expect("the script is right").play().subject;
    let head = fork.state().seq;
    let seqs: Vec<Seq> = fork.prompt().messages.iter().map(|message| message.seq).collect();
    assert!(seqs.len() > 2 && seqs.iter().all(|seq| *seq <= head), "{seqs:?} in a journal of {head}");
}
