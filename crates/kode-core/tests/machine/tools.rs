//! Rounds of calls: order, bounds, failures.

use crate::check::check;

/// Scenario 12.
#[test]
fn a_call_runs_and_its_result_goes_back() {
    check(
        "one_call",
        r#"
        start
        say "read a"
        answer "Let me see." ; calls fs_read{"path":"a"}
        emit call_1_0 progress {"percent":50}
        advance 1500ms
        tool call_1_0 ok {"content":"A"}
        answer "It says A."
        "#,
    );
}

/// Scenario 16: the peak is two, and results keep the calls' order whatever came first.
#[test]
fn g2_five_calls_two_at_once_keep_their_order() {
    check(
        "five_calls_two_at_once",
        r#"
        template parallel 2
        start
        say "do five things"
        answer; calls bash_run{"n":0}, bash_run{"n":1}, bash_run{"n":2}, bash_run{"n":3}, bash_run{"n":4}
        tool call_1_1 ok "one"
        tool call_1_2 ok "two"
        tool call_1_3 error failed "three broke"
        tool call_1_4 ok "four"
        tool call_1_0 ok "zero"
        prompt
        answer "done"
        "#,
    );
}

/// Scenarios 13 and 14: told to the model, told as tool:end (not so upstream [S]), and never run; what is right runs.
#[test]
fn g2_an_unknown_tool_and_wrong_arguments_are_results() {
    check(
        "unknown_tool_and_bad_arguments",
        r#"
        start
        say "try"
        answer; calls nope{"x":1}, fs_read{"pth":"a"} invalid "missing field path", fs_read"{\"pa", fs_read{"path":"a"}
        tool call_1_3 ok "A"
        answer "one of four"
        "#,
    );
}

/// Scenario 20: deny beats allow, a list of allowed tools excludes the rest.
#[test]
fn g2_policy_refuses_before_anything_runs() {
    check(
        "denied_by_policy",
        r#"
        template deny bash_run; allow bash_run fs_read
        start
        say "try"
        answer; calls bash_run{"cmd":"ls"}, fs_write{"path":"a"}, fs_read{"path":"a"}
        tool call_1_2 ok "A"
        answer "only read"
        "#,
    );
}

/// Scenario 20: what only reads runs, what changes things is refused.
#[test]
fn readonly_refuses_what_changes_things() {
    check(
        "readonly",
        r#"
        template mode readonly
        start
        say "try"
        answer; calls fs_write{"path":"a"}, fs_read{"path":"a"}
        tool call_1_1 ok "A"
        answer "only read"
        "#,
    );
}

/// Scenario 17. A tool that does not come back is abandoned, and its late result is forgotten; upstream waits for it
/// for ever [S].
#[test]
fn g10_a_tool_that_overstays_is_given_up() {
    check(
        "tool_timeout",
        r#"
        template tool_timeout 10s
        start
        say "sleep"
        answer; calls bash_run{"cmd":"sleep 99"}, bash_run{"cmd":"true"}
        advance 4s
        tool call_1_1 ok {"code":0}
        advance 6s
        tool call_1_0 ok {"code":0}
        answer "it took too long"
        "#,
    );
}

/// A result names its call and its start; another start's result is not this one's.
#[test]
fn g2_late_and_repeated_results_are_dropped() {
    check(
        "late_results",
        r#"
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        tool call_1_0 attempt 2 ok "of another start"
        tool call_1_0 ok "first"
        tool call_1_0 ok "again"
        emit call_1_0 progress {}
        tool call_7_0 ok "of no call"
        tool call_1_1 error broken "second" "try less"
        tool call_1_1 ok "late"
        answer "fine"
        "#,
    );
}

/// BEHAVIOUR, tool calls: over 64 KiB the middle is left out, and the model is told how much and where the rest is.
#[test]
fn g10_a_big_result_is_cut_in_the_middle() {
    check(
        "big_result",
        r#"
        start
        say "read all"
        answer; calls fs_read{"path":"big"}, fs_read{"path":"fits"}
        tool call_1_0 bytes 200000
        tool call_1_1 bytes 65536
        answer; calls fs_read{"path":"kept"}, fs_read{"path":"in part"}, fs_read{"path":"fits"}
        tool call_2_0 bytes 200000 kept 200000
        tool call_2_1 bytes 200000 kept 100000
        tool call_2_2 bytes 65536 kept 65536
        answer "long"
        "#,
    );
}

/// A failure's text is bounded like a result: it reaches the model, the record and several events.
#[test]
fn g10_a_big_error_is_cut_in_the_middle() {
    let message = "e".repeat(200_000);
    let played = kode_testkit::scenario::Scenario::parse(&format!(
        "start\nsay \"go\"\nanswer; calls bash_run{{}}\ntool call_1_0 error broken {message:?}\n"
    ))
    .unwrap()
    .play();
    let told: Vec<usize> = played.events().map(|e| e.json().len()).filter(|size| *size > 160_000).collect();
    assert_eq!(told, Vec::<usize>::new(), "no event holds the whole error");
    let results = played.subject.state().transcript.last().unwrap();
    assert!(
        matches!(&results.content[0], kode_core::message::Block::ToolResult { content, .. } if content.len() < 80_000)
    );
}

/// Scenario 36.
#[test]
fn todos_change_by_version_and_keep_their_rules() {
    check(
        "todos",
        r#"
        start
        todos [{"id":"a","title":"write","status":"in_progress"}]
        todos version 1 [{"id":"a","title":"write","status":"completed"},{"id":"b","title":"read","status":"pending"}]
        todos version 1 []
        todos [{"id":"a","title":"x","status":"pending"},{"id":"a","title":"y","status":"pending"}]
        todos [{"id":"a","title":" ","status":"pending"}]
        todos [{"id":"a","title":"x","status":"in_progress"},{"id":"b","title":"y","status":"in_progress"}]
        say "go"
        answer; calls todo_write{}
        todos version 2 []
        crash
        "#,
    );
}

/// Scenario 15. A failure of the tool's own is a result with a hint, and the monitor hears of it.
#[test]
fn g2_a_tool_that_fails_is_told_to_the_model_and_the_monitor() {
    check(
        "tool_fails",
        r#"
        start
        say "go"
        answer; calls bash_run{"cmd":"a"}, fs_read{"path":"b"}
        tool call_1_0 error broken "it broke" "try another"
        tool call_1_1 ok "B"
        prompt
        answer "one of two"
        "#,
    );
}
