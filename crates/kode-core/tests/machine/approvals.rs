//! Approvals: asked together, decided once, alive over a crash, settled by an interrupt.

use crate::check::check;

/// Scenario 18. What runs by itself runs first, then one question for all the rest.
#[test]
fn g6_approvals_are_asked_together_after_the_rest() {
    check(
        "approval_both_together",
        r#"
        template ask fs_write bash_run
        start
        say "go"
        answer "I need three things." ; calls fs_write{"path":"a"}, fs_read{"path":"a"}, bash_run{"cmd":"ls"}
        advance 1s
        tool call_1_1 ok "A"
        advance 60s
        decide call_1_0 allow by alice
        advance 1s
        tool call_1_0 ok "written"
        advance 60s
        decide call_1_2 deny by bob "not on this machine"
        prompt
        answer "written, not listed"
        "#,
    );
}

/// One decision while a question is still open: it runs, and only then is the agent paused again.
#[test]
fn g6_a_second_pause_asks_no_second_time() {
    check(
        "approval_paused_again",
        r#"
        template mode approval
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_write{"n":1}, fs_write{"n":2}
        decide call_1_1 deny
        decide call_1_0 allow
        tool call_1_0 ok 0
        decide call_1_2 allow "if you must"
        tool call_1_2 ok 2
        answer "ok"
        "#,
    );
}

/// Scenario 19, and HTTP: 409 for what was decided, 404 for what never was asked.
#[test]
fn g6_a_call_is_decided_once() {
    check(
        "approval_decided_once",
        r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_read{"n":1}
        decide call_1_0 allow
        tool call_1_1 ok 1
        decide call_1_1 allow
        decide call_9_9 allow
        decide call_1_0 allow by alice
        decide call_1_0 deny by bob
        tool call_1_0 ok 0
        decide call_1_0 deny by bob
        decide call_1_1 allow
        answer "ok"
        decide call_1_0 allow
        "#,
    );
}

/// BEHAVIOUR, permissions: an expired approval counts as denied, and a decision after it is too late even
/// where the machine has not been told the time yet.
#[test]
fn g6_an_approval_expires() {
    check(
        "approval_expires",
        r#"
        template ask fs_write; expire 30s
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_write{"n":1}
        advance 29s
        decide call_1_0 allow
        wait 1s
        decide call_1_1 allow
        advance 0s
        decide call_1_1 allow
        tool call_1_0 ok 0
        answer "one of two"
        "#,
    );
}

/// Scenario 21. Upstream does not go on after so long a wait [S].
#[test]
fn g6_an_approval_waits_as_long_as_it_takes() {
    check(
        "approval_after_a_day",
        r#"
        template ask fs_write; turn 60s
        start
        say "go"
        answer; calls fs_write{}
        advance 24h
        decide call_1_0 allow by alice
        tool call_1_0 ok "written"
        advance 59s
        answer "done"
        "#,
    );
}

/// Scenario 22. In upstream a question is lost with the process, and its call stays open [S].
#[test]
fn g6_an_approval_survives_a_crash() {
    check(
        "approval_survives_a_crash",
        r#"
        template ask fs_write; expire 60s
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_write{"n":1}
        crash for 10s
        decide call_1_0 allow by alice
        crash
        advance 50s
        answer "the outcome of one is unknown"
        "#,
    );
}

/// Hooks that came with a later start of the server do not look at what was asked about before.
#[test]
fn g6_hooks_that_are_new_leave_an_approval_alone() {
    check(
        "approval_and_new_hooks",
        r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_write{"n":1}
        template ask fs_write; hooks
        crash
        decide call_1_0 allow
        tool call_1_0 ok null
        decide call_1_1 deny
        answer "done"
        "#,
    );
}

/// An approval that a new template refuses is settled, not forgotten.
#[test]
fn g6_a_template_that_now_denies_settles_the_approval() {
    check(
        "approval_denied_by_a_new_template",
        r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{}
        template deny fs_write
        crash
        answer "refused"
        "#,
    );
}
