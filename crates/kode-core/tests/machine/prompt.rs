//! What the model sees.

use crate::check::check;

/// One history with everything in it: results, an interrupted text, an unknown outcome, an approver's note,
/// a hook's refusal, a cut answer, a steer.
#[test]
fn g2_a_long_history() {
    check(
        "prompt_history",
        r#"
        template system "You help with files."; ask fs_write; hooks
        start
        say "read a, then write b"
        think "first a"
        answer "I'll read a." ; calls fs_read{"path":"a"}, nope{}
        hook call_1_0 continue
        tool call_1_0 ok {"content":"A","truncated":false}
        answer; calls fs_write{"path":"b"}, fs_write{"path":"c"}
        hook call_2_0 continue
        hook call_2_1 deny "c is not yours"
        decide call_2_0 deny by alice "put it into d instead"
        prompt
        answer "I'll ask"
        say "tell me about d"
        delta "d is the fourth"
        interrupt
        say "run it"
        answer; calls bash_run{"cmd":"make"}
        hook call_5_0 continue
        say "what happened?" steer
        crash for 3s
        prompt
        answer; calls bash_run{"cmd":"ls"}
        hook call_6_0 continue
        interrupt "stop"
        gone call_6_0
        say "go on"
        prompt
        "#,
    );
}

/// The history of a turn that failed keeps its question; nothing empty is sent.
#[test]
fn g2_after_failures() {
    check(
        "prompt_after_failures",
        r#"
        start
        say "one"
        delta "half"
        fail bad_request "no"
        say "two"
        interrupt
        say "three"
        answer finish length
        say "four"
        prompt
        "#,
    );
}
