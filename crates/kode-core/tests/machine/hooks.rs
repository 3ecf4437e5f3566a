//! The host's own say: hooks on calls, requests and answers, and policies.

use kode_core::machine::Hooked;

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

/// Hooks that a tool brings are asked about its own calls, and the host's about all.
#[test]
fn a_tools_own_hooks_see_its_calls_only() {
    let own = ["own_tool".to_owned()];
    let on = |calls| {
        let hooked = Hooked { calls, tools: &own, prompts: false };
        ["own_tool", "fs_read"].map(|tool| hooked.on(tool))
    };
    assert_eq!((on(false), on(true)), ([true, false], [true, true]));
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

/// What hooks change in a request is a fact: a retry, the next writer and a replay see the same, and the next step
/// begins anew.
#[test]
fn a_request_is_amended_once_for_all_attempts_of_its_step() {
    check(
        "prompt_amended",
        r#"
        template prompt_hooks; max_tokens 100
        start
        say "go"
        amend {"system":"be brief","notes":["it is raining"," "],"model":"large","max_tokens":7}
        amend {"system":"late"}
        prompt
        fail overloaded
        crash for 3s
        prompt
        answer; calls fs_read{}
        tool call_1_0 ok 1
        amend
        prompt
        answer "done"
        "#,
    );
}

/// What hooks changed in one step is not part of the request that they are shown for the next.
#[test]
fn hooks_see_the_next_request_as_it_would_be_without_them() {
    check(
        "prompt_amended_for_one_step",
        r#"
        template prompt_hooks
        start
        say "go"
        amend {"system":"be brief","model":"large"}
        answer; calls fs_read{}
        tool call_1_0 ok 1
        prompt
        amend
        prompt
        answer "done"
        "#,
    );
}

/// A hook that fails does not let the request pass: the turn fails, and the next one works.
#[test]
fn g9_a_request_that_a_hook_failed_on_is_not_sent() {
    check(
        "prompt_hook_failed",
        r#"
        template prompt_hooks
        start
        say "go"
        amend failed "a hook on the request failed"
        say "again"
        amend
        answer "done"
        "#,
    );
}

/// A message that joins while the hooks look makes it another request: they look again. An interrupt drops them,
/// a crash asks them again.
#[test]
fn hooks_see_the_request_that_is_sent() {
    check(
        "prompt_hooks_see_all",
        r#"
        template prompt_hooks
        start
        say "go"
        say "and this" steer
        crash
        amend {"notes":["seen"]}
        prompt
        answer; calls fs_read{}
        tool call_1_0 ok 1
        interrupt
        amend
        say "next" queue
        amend
        answer "done"
        "#,
    );
}

/// Scenario 24: history has the answer as the hooks left it, a reader is told that what was shown is void, and a
/// call that was dropped was never asked for.
#[test]
fn an_edited_answer_is_what_is_stored_and_told() {
    check(
        "answer_edited",
        r#"
        start
        say "what is the key?"
        delta "it is "
        answer "1234" edited "it is ****"
        say "and now?"
        answer "the same" edited "the same"
        say "call"
        delta "it is 1234, I look"
        answer edited "I look" ; calls fs_read{}
        tool call_3_0 ok "read"
        answer "nothing" edited " "
        advance 2s
        answer "at last"
        "#,
    );
}

/// Scenario 20. A policy speaks where no list does, before any hook; without its word nothing runs.
#[test]
fn g2_a_policy_speaks_where_no_list_does() {
    check(
        "policy",
        r#"
        template mode own; hooks; ask fs_write; deny nope
        tools own_tool readonly, nope
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}, bash_run{"n":2}, fs_write{"n":3}, nope{"n":4}, own_tool{"n":5}
        hook call_1_0 continue
        policy call_1_0 allow
        policy call_1_0 deny "too late"
        policy call_1_1 of other allow
        policy call_1_1 deny "not on a Friday"
        policy call_1_2 ask "is this wise?"
        policy call_1_3 allow
        policy call_1_5 allow
        hook call_1_0 continue
        hook call_1_2 continue
        hook call_1_3 continue
        hook call_1_5 deny "a hook has the last word"
        tool call_1_0 ok 0
        decide call_1_2 allow
        decide call_1_3 deny
        tool call_1_2 ok 2
        answer "done"
        "#,
    );
}

/// A ruling that was durable is not asked for again after a crash, one that was not is; another policy's does not
/// count, and what a person allowed under it is not run under this one.
#[test]
fn g6_a_policy_over_a_crash_and_under_a_new_template() {
    check(
        "policy_over_a_crash",
        r#"
        template mode own
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        policy call_1_0 ask "sure?"
        crash
        policy call_1_1 ask "sure?"
        decide call_1_0 allow
        template mode other
        crash
        tool call_1_0 ok 0
        decide call_1_1 allow
        answer; calls bash_run{"n":2}
        policy call_2_0 allow
        tool call_2_0 ok 2
        answer "done"
        "#,
    );
}

/// A verdict that comes while a person is asked is too late: the call waits for nobody else's word.
#[test]
fn g6_a_verdict_does_not_end_a_call_that_waits_for_a_person() {
    check(
        "hooks_behind_an_approval",
        r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{}
        hook call_1_0 deny "no"
        decide call_1_0 deny
        answer "ok"
        "#,
    );
}
