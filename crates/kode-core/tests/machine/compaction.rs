//! The context: when the history is condensed, what of it stays, and what comes of a summary that fails.
//! Scenario 37.

use crate::check::check;

/// Over the threshold of a known window. The newest request stays whole, what came before is summed up, and
/// the history itself is as it was.
#[test]
fn a_history_over_the_threshold_is_condensed_before_the_model_is_asked() {
    check(
        "compaction_by_the_model",
        r#"
        template window 1000; max_tokens 100
        start
        todos [{"id":"a","title":"write the report","status":"in_progress"}, {"id":"b","title":"read","status":"completed"}]
        say bytes 1200
        answer bytes 1200
        say bytes 800
        prompt
        summary "They want a report. Nothing is written yet."
        prompt
        answer "here it is"
        say "thanks"
        prompt
        answer "you are welcome"
        "#,
    );
}

/// A round is never parted: calls and their results are left out together or stay together, also where leaving out
/// the long answer alone would do.
#[test]
fn g2_a_call_is_never_parted_from_its_result() {
    check(
        "compaction_keeps_rounds_whole",
        r#"
        template window 1200; max_tokens 100
        start
        say "read them all and compare them"
        answer bytes 2560; calls fs_read{"n":1}, fs_read{"n":2}
        tool call_1_0 ok 1
        tool call_1_1 ok 2
        answer "and the next"; calls fs_read{"n":3}, fs_read{"n":4}
        tool call_2_0 bytes 800
        tool call_2_1 bytes 320
        prompt
        summary "Files 1 and 2 hold digits."
        prompt
        answer "they are all alike"
        "#,
    );
}

/// What must stay is over the target by itself: results are cut in the middle, no model is needed for that,
/// and a new result is whole again.
#[test]
fn results_that_are_too_long_are_cut_where_nothing_else_can_go() {
    check(
        "compaction_cuts_results",
        r#"
        template window 4000; max_tokens 100
        start
        say "read it"
        answer; calls fs_read{"n":1}
        tool call_1_0 bytes 60000
        prompt
        answer; calls fs_read{"n":2}
        tool call_2_0 bytes 1600
        prompt
        answer "read"
        "#,
    );
}

/// What the provider reports is the truth for what it covered, and corrects the estimate of what comes.
#[test]
fn the_providers_count_decides() {
    check(
        "compaction_by_report",
        r#"
        template window 2000; max_tokens 100
        start
        say bytes 1200
        answer bytes 1200 used 900
        say bytes 400
        summary "digits"
        answer "fine" used 300
        say bytes 1600
        answer "not again" used 700
        "#,
    );
}

/// Over the threshold by what must stay, with little else to leave out: what would win little is not done until no
/// answer would fit any more.
#[test]
fn what_would_win_little_is_not_done_at_each_step() {
    check(
        "compaction_is_in_proportion",
        r#"
        template window 1000; max_tokens 100
        start
        say bytes 3120
        answer; calls fs_read{"n":1}
        tool call_1_0 bytes 160
        answer; calls fs_read{"n":2}
        tool call_2_0 bytes 160
        answer; calls fs_read{"n":3}
        tool call_3_0 bytes 160
        summary "two files"
        answer "enough"
        "#,
    );
}

/// The provider counts so low that to cut the little that can be cut wins not one token.
#[test]
fn what_would_win_nothing_is_not_done() {
    check(
        "compaction_wins_something",
        r#"
        template window 300; max_tokens 100
        start
        say bytes 4000
        answer used 300; calls fs_read{"n":1}
        tool call_1_0 bytes 304
        answer "read"
        "#,
    );
}

/// A summary that is of no use is asked for once more, then an excerpt stands for what is left out.
#[test]
fn without_a_summary_of_use_an_excerpt_is_made() {
    check(
        "compaction_by_excerpt",
        r#"
        template window 1000; max_tokens 100
        start
        say "my name is Ada"
        answer "Hello Ada."; calls fs_read{"path":"a"}
        tool call_1_0 bytes 1600
        answer bytes 1200
        say bytes 800
        summary " "
        advance 2s
        summary bytes 8000
        prompt
        answer "done"
        "#,
    );
}

/// A failure that mends itself is waited for; one that does not is not.
#[test]
fn an_attempt_at_a_summary_is_tried_again_within_bounds() {
    check(
        "compaction_retries",
        r#"
        template window 1000; max_tokens 100
        start
        say bytes 1200
        answer bytes 1200
        say bytes 800
        summary fails overloaded
        advance 5s
        summary at 1.1 "late"
        summary fails network
        advance 5s
        summary "half a" finish length
        answer "with an excerpt"
        say bytes 1920
        summary fails auth
        answer "with another"
        "#,
    );
}

/// The provider's own word counts more than ours: the history is condensed once for the step that it refused.
#[test]
fn a_refusal_as_too_long_condenses_the_history_once_for_that_step() {
    check(
        "compaction_after_an_overflow",
        r#"
        start
        say bytes 1200
        answer bytes 1200 used 320
        say bytes 400
        delta "So"
        fail context_overflow "too long" code 1261
        prompt
        summary "digits"
        prompt
        answer "shorter now" used 180
        say bytes 800
        fail context_overflow "too long again"
        summary "more digits"
        answer "fits" used 260
        "#,
    );
}

/// A second refusal of the same step ends the turn, as does one where nothing can be left out.
#[test]
fn g9_what_stays_too_long_fails_the_turn() {
    check(
        "compaction_does_not_help",
        r#"
        start
        say bytes 1200
        fail context_overflow
        say bytes 1200
        fail context_overflow
        summary "digits"
        fail context_overflow
        "#,
    );
}

/// Also where more could be left out: a provider that refuses what was condensed for it is not asked over and over.
#[test]
fn g9_a_step_is_condensed_once() {
    check(
        "compaction_once_a_step",
        r#"
        start
        say bytes 1200
        answer bytes 1200
        say bytes 1200
        answer bytes 1200
        say bytes 400
        fail context_overflow
        summary bytes 200
        fail context_overflow
        say "shorter"
        fail context_overflow
        summary "digits"
        answer "fits"
        "#,
    );
}

/// An interrupt, and the turn's time, end it in mid-way; nothing has changed, and the next turn begins it anew.
#[test]
fn g10_a_compaction_is_stopped_like_any_work() {
    check(
        "compaction_interrupted",
        r#"
        template window 1000; max_tokens 100; turn 60s
        start
        say bytes 1200
        answer bytes 1200
        say bytes 800
        interrupt "stop"
        summary at 1.1 "late"
        say "go on"
        summary fails overloaded
        interrupt
        say "go on"
        advance 60s
        say "go on"
        summary "digits"
        answer "on it is"
        "#,
    );
}

/// A writer that ends in the middle of it: the next one asks for the same summary again.
#[test]
fn g1_a_compaction_survives_a_crash() {
    check(
        "compaction_over_a_crash",
        r#"
        template window 1000; max_tokens 100
        start
        say bytes 1200
        answer bytes 1200
        say bytes 800
        crash for 5s
        summary at 1.1 "late"
        summary fails overloaded
        crash for 60s
        advance 0s
        summary "digits"
        crash
        answer "goes on"
        "#,
    );
}

/// Several requests of one turn: what fits of them stays, the newest in any case; a steer counts as one.
#[test]
fn the_requests_of_the_turn_under_way_stay() {
    check(
        "compaction_keeps_requests",
        r#"
        template window 1000; max_tokens 100
        start
        say "first"
        say "paint the fence"
        say "and the gate"
        answer "a fence?"
        answer; calls bash_run{"cmd":"paint fence"}
        say "in green" steer
        tool call_2_0 bytes 1600
        answer; calls bash_run{"cmd":"paint gate"}
        tool call_3_0 bytes 1600
        summary "The fence is painted."
        prompt
        answer "all green"
        "#,
    );
}

/// In Chinese where the system prompt is.
#[test]
fn a_chinese_agent_is_asked_in_chinese() {
    check(
        "compaction_in_chinese",
        r#"
        template window 1000; max_tokens 100; system "你是一个助手。"
        start
        todos [{"id":"a","title":"写报告","status":"pending"}]
        say bytes 1200
        answer bytes 1200
        say bytes 800
        prompt
        summary fails auth
        prompt
        answer "好"
        "#,
    );
}
