//! Hooks: a host's say before policy's question, once for each call.

use crate::check::check;

/// Scenario 24.
#[test]
fn each_verdict_has_its_way() {
    check(
        "hook_verdicts",
        r#"
        template hooks
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}, bash_run{"n":2}, bash_run{"n":3}
        hook call_1_0 continue
        hook call_1_1 ask "is this wise?"
        hook call_1_2 deny "never on a Friday"
        hook call_1_3 result {"cached":true}
        hook call_1_3 continue
        tool call_1_0 ok 0
        decide call_1_1 allow
        tool call_1_1 ok 1
        answer "done"
        "#,
    );
}

/// Policy's refusal comes before the hooks, its question after them; a result makes the question needless.
#[test]
fn hooks_stand_between_refusal_and_question() {
    check(
        "hooks_and_policy",
        r#"
        template hooks; ask fs_write; deny bash_run
        start
        say "go"
        answer; calls bash_run{}, fs_write{"n":1}, fs_write{"n":2}, nope{}
        hook call_1_0 continue
        hook call_1_1 result "from the cache"
        hook call_1_2 continue
        decide call_1_2 deny "no"
        answer "done"
        "#,
    );
}

/// A verdict that was durable is not asked for again after a crash; one that was not is.
#[test]
fn a_crash_asks_again_only_for_verdicts_that_were_lost() {
    check(
        "hooks_over_a_crash",
        r#"
        template hooks
        start
        say "go"
        answer; calls bash_run{"n":0}, fs_read{"n":1}
        hook call_1_1 ask "really?"
        crash
        hook call_1_0 continue
        tool call_1_0 ok 0
        decide call_1_1 deny
        answer "done"
        "#,
    );
}

/// The first verdict on a call counts; a second one is too late, also while the call waits for its place.
#[test]
fn a_call_has_one_verdict() {
    check(
        "hooks_once",
        r#"
        template hooks; parallel 1
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        hook call_1_0 continue
        hook call_1_1 continue
        hook call_1_1 deny "too late"
        tool call_1_0 ok 0
        tool call_1_1 ok 1
        answer "both"
        "#,
    );
}
