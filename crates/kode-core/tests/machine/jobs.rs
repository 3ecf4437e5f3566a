//! Background jobs: started by a call, longer than it and than its turn, ended once. Scenario 41 as far as the machine
//! has a say in it.

use crate::check::check;

/// A job outlives its call and its turn, what is noticed of it is told, and its end once; a late end is forgotten.
#[test]
fn g8_a_job_runs_from_its_durable_start_to_its_one_end() {
    check(
        "job_life",
        r#"
        template jobs 1h
        tools bash_run processes
        start
        say "serve it"
        answer; calls bash_run{"cmd":"serve","background":true}
        job start call_1_0 "serve --port 80"
        tool call_1_0 ok {"shell_id":"shell_1_0"}
        answer "It serves."
        job shell_1_0 tells connection_refused {"host":"example.org"}
        say "thank you"
        job shell_1_0 ends exited 3
        job shell_1_0 ends exited 0
        job shell_1_0 tells late {}
        kill shell_1_0
        answer "You are welcome."
        "#,
    );
}

/// A job that is to be gone is over when it is gone; what it was before that is told as it is.
#[test]
fn g8_a_killed_job_is_over_when_it_is_gone() {
    check(
        "job_killed",
        r#"
        start
        say "two"
        answer; calls bash_run{"n":0}, bash_run{"n":1}, bash_run{"n":2}
        job start call_1_0 "sleep 1"
        job start call_1_1 "sleep 2"
        job start call_1_2 "sleep 3"
        kill shell_1_0
        kill shell_1_0 by alice
        gone shell_1_0
        job shell_1_0 ends exited 0
        kill shell_1_1 by alice
        job shell_1_1 ends signaled 15
        kill shell_1_2
        advance 4s
        advance 1s
        gone shell_1_2
        kill shell_9_9
        "#,
    );
}

/// `done` comes once the jobs of an interrupted turn are gone, and no call of it starts another.
#[test]
fn g8_an_interrupt_ends_the_jobs_and_done_waits_for_them() {
    check(
        "job_interrupted",
        r#"
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        job start call_1_0 "sleep 1"
        interrupt "enough" by alice
        job start call_1_1 "escape"
        gone call_1_0
        gone call_1_1
        gone shell_1_0
        say "and now?"
        answer "Nothing runs."
        "#,
    );
}

/// The same while the model answers, and when a job does not go: then after the grace.
#[test]
fn g8_an_interrupt_waits_no_longer_than_its_grace() {
    check(
        "job_interrupted_past_grace",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 1"
        tool call_1_0 ok {}
        delta "It"
        interrupt
        advance 4s
        advance 1s
        "#,
    );
}

/// No turn is under way, and yet there is something to end; a second time there is not.
#[test]
fn g8_an_interrupt_ends_the_jobs_of_an_agent_without_a_turn() {
    check(
        "job_interrupted_idle",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 1"
        tool call_1_0 ok {}
        answer "It runs."
        interrupt by alice
        interrupt by bob
        gone shell_1_0
        interrupt by bob
        "#,
    );
}

/// A message that replaces the run ends what an interrupt ends.
#[test]
fn g8_a_message_that_interrupts_ends_the_jobs() {
    check(
        "job_interrupted_by_message",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 1"
        tool call_1_0 ok {}
        say "something else" interrupt
        gone shell_1_0
        answer "As you wish."
        "#,
    );
}

/// A turn that reached a limit leaves its jobs: they have one of their own.
#[test]
fn a_limit_of_the_turn_leaves_the_jobs() {
    check(
        "job_turn_limit",
        r#"
        template turn 60s
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 100"
        tool call_1_0 ok {}
        advance 60s
        job shell_1_0 ends timed_out
        "#,
    );
}

/// The next writer tells that the jobs of the last one are lost, before anything else, and never starts one again; one
/// that was to be gone is.
#[test]
fn g8_jobs_of_a_dead_writer_are_lost() {
    check(
        "job_crash",
        r#"
        start
        say "go"
        answer; calls bash_run{"n":0}, bash_run{"n":1}
        job start call_1_0 "sleep 1"
        job start call_1_1 "sleep 2"
        tool call_1_0 ok {}
        kill shell_1_1
        crash for 5s
        job shell_1_0 ends exited 0
        gone shell_1_0
        "#,
    );
}

/// The same at rest, and when the next writer leaves open calls to the host.
#[test]
fn g8_jobs_are_lost_at_rest_and_after_a_manual_resume() {
    check(
        "job_crash_at_rest",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 1"
        tool call_1_0 ok {}
        answer "It runs."
        crash manual
        "#,
    );
}

/// A writer that lets go says what is gone with it.
#[test]
fn g8_a_job_that_is_gone_though_nobody_wanted_that_is_lost() {
    check(
        "job_put_away",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 1"
        gone shell_1_0
        gone call_1_0
        "#,
    );
}

/// Only a running call starts a job, one at most, and the ninth at once is refused until another is over.
#[test]
fn g10_jobs_are_bounded() {
    check(
        "job_bounds",
        r#"
        template parallel 9
        start
        say "go"
        answer; calls bash_run{}, bash_run{}, bash_run{}, bash_run{}, bash_run{}, bash_run{}, bash_run{}, bash_run{}, bash_run{}
        job start call_1_0 "0"
        job start call_1_0 "again"
        job start call_1_1 "1"
        job start call_1_2 "2"
        job start call_1_3 "3"
        job start call_1_4 "4"
        job start call_1_5 "5"
        job start call_1_6 "6"
        job start call_1_7 "7"
        job start call_1_8 "8"
        job shell_1_3 ends exited 0
        job start call_1_3 "again"
        job start call_1_8 "8"
        tool call_1_2 ok {}
        job start call_1_2 "late"
        job start call_7_0 "never"
        "#,
    );
}

/// A fork has none of its parent's jobs.
#[test]
fn a_fork_leaves_the_jobs_behind() {
    check(
        "job_fork",
        r#"
        start
        say "go"
        answer; calls bash_run{}
        job start call_1_0 "sleep 1"
        tool call_1_0 ok {}
        answer "It runs."
        fork as other
        interrupt
        agent scenario
        interrupt
        gone shell_1_0
        "#,
    );
}

/// The record of a call says where its processes ran, as far as this writer knows.
#[test]
fn the_record_names_the_sandbox_level_of_what_ran() {
    check(
        "job_sandbox_level",
        r#"
        tools bash_run processes
        start
        say "go"
        answer; calls bash_run{"n":0}, fs_write{}
        tool call_1_0 ok {}
        tool call_1_1 ok {}
        answer; calls bash_run{"n":1}
        crash
        "#,
    );
}
