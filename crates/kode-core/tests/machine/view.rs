//! What readers see of an agent, the snapshot that follows from its state, and what the driver sees of a step.

use kode_core::fact::Fact;
use kode_core::id::{CallId, JobId, Seq, TemplateId};
use kode_core::machine::{EffectKey, Input, Rejected, State, Strategy, View};
use kode_core::store::Durability;
use kode_testkit::scenario::{Scenario, Setup, Subject};

/// The view at the end of a script.
fn seen(script: &str) -> View {
    let played = Scenario::parse(script).expect("the script is right").play();
    View::of(played.subject.state())
}

/// Scenario 18. Exactly the calls that wait for a person are shown as such, and no longer than they do.
#[test]
fn g6_what_waits_for_a_person_is_seen_and_nothing_else() {
    let asked = r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{"n":0}, fs_read{"n":1}, fs_write{"n":2}
        tool call_1_1 ok 1
    "#;
    let waits = |view: &View, n: usize| view.awaits(&CallId::of(1, n));
    let view = seen(asked);
    assert_eq!([0, 1, 2].map(|n| waits(&view, n)), [true, false, true]);
    let view = seen(&format!("{asked}\ndecide call_1_0 allow"));
    assert_eq!([0, 1, 2].map(|n| waits(&view, n)), [false, false, true]);
    let view = seen(&format!("{asked}\ninterrupt"));
    assert_eq!([0, 1, 2].map(|n| waits(&view, n)), [false, false, false]);
}

/// An agent needs no writer while it is at rest, or while only a person is waited for.
#[test]
fn g6_an_agent_sleeps_at_rest_and_while_a_person_thinks() {
    let script = [
        ("template ask fs_write\nstart", true),
        ("say \"go\"", false),
        ("answer; calls fs_write{}, fs_read{}", false),
        ("tool call_1_1 ok 1", true),
        ("decide call_1_0 allow", false),
        ("tool call_1_0 ok 0", false),
        ("answer \"done\"", true),
    ];
    for end in 1..=script.len() {
        let lines: Vec<&str> = script[..end].iter().map(|(line, _)| *line).collect();
        assert_eq!(seen(&lines.join("\n")).may_sleep(), script[end - 1].1, "after {lines:#?}");
    }
}

/// A writer that ended anywhere within a turn leaves work behind, also where all calls have ended, and where the agent
/// stands at PAUSED still although a person has decided: only where one is waited for it does not.
#[test]
fn g6_what_was_begun_keeps_an_agent_awake() {
    let script = r#"
        template ask fs_write
        start
        say "go"
        answer; calls fs_write{}
        decide call_1_0 allow
        tool call_1_0 ok 1
        answer "done"
    "#;
    let subject = Scenario::parse(script).expect("the script is right").play().subject;
    let mut state = State::default();
    for entry in subject.journal() {
        state.evolve(entry);
        let asks = matches!(entry.fact, Fact::ApprovalsRequested { .. });
        assert_eq!(View::of(&state).may_sleep(), asks || state.at_rest(), "at {entry:?}");
    }
    assert!(state.at_rest());
}

/// An approval that expires is looked at again at that time, also where nobody holds the agent until then.
#[test]
fn g6_an_approval_wakes_the_agent_when_it_expires() {
    let asked = |more: &str| {
        let start = format!("template ask fs_write{more}\nstart\nsay \"go\"\nanswer; calls fs_write{{}}");
        let subject = Scenario::parse(&start).expect("the script is right").play().subject;
        View::of(subject.state()).wakes_at().map(|at| at - subject.now())
    };
    assert_eq!((asked("; expire 30s"), asked("")), (Some(30_000), None));
}

/// What a stop has to wait for: the runs of now, and none before it is asked for.
#[test]
fn g3_a_stop_names_the_runs_that_it_waits_for() {
    let script = "start\nsay \"go\"\nanswer; calls fs_read{}, bash_run{}\ntool call_1_1 ok 1\ncrash";
    let mut subject = Scenario::parse(script).expect("the script is right").play().subject;
    let run = |attempt| EffectKey::Tool { call: CallId::of(1, 0), attempt };
    assert_eq!(subject.state().stopping(), []);
    let _ = subject.input(Input::Interrupt { note: None, by: "me".into() }).unwrap();
    assert_eq!(subject.state().stopping(), [run(2)]);
    // The run of the older writer is gone for long, and says nothing of this one.
    assert_eq!(subject.input(Input::EffectGone(run(1))), Err(Rejected::Stale));
    let _ = subject.input(Input::EffectGone(run(2))).unwrap();
    assert!(subject.state().at_rest() && subject.state().stopping().is_empty());
}

/// Until nothing is left that nobody asked to stop, a delete asks; and it waits for what was stopped alone.
#[test]
fn g8_what_a_delete_ends_is_under_way_and_not_yet_stopped() {
    let job = EffectKey::Job { job: JobId::of(&CallId::of(1, 0)) };
    let run = EffectKey::Tool { call: CallId::of(1, 0), attempt: 1 };
    let script = [
        ("start", false, vec![]),
        ("say \"go\"", true, vec![]),
        ("answer; calls bash_run{}", true, vec![]),
        ("job start call_1_0 \"sleep 1\"", true, vec![]),
        ("interrupt", false, vec![run, job.clone()]),
        ("gone call_1_0", false, vec![job.clone()]),
        ("gone shell_1_0", false, vec![]),
    ];
    under_way(&script);
    let at_rest = [
        (
            "start\nsay \"go\"\nanswer; calls bash_run{}\njob start call_1_0 \"sleep 1\"\ntool call_1_0 ok {}",
            true,
            vec![],
        ),
        ("answer \"It runs.\"", true, vec![]),
        ("kill shell_1_0", false, vec![job]),
        ("gone shell_1_0", false, vec![]),
    ];
    under_way(&at_rest);
}

/// How jobs ended is remembered of the last ones.
#[test]
fn g10_of_many_jobs_the_last_are_remembered() {
    let turn = |nth: usize| {
        let step = 2 * nth - 1;
        format!(
            "say \"go\"\nanswer; calls bash_run{{}}\njob start call_{step}_0 \"true\"\ntool call_{step}_0 ok {{}}\n\
             job shell_{step}_0 ends exited 0\nanswer \"done\"\n"
        )
    };
    let script: String = (1..=19).map(turn).collect();
    let played = Scenario::parse(&format!("start\n{script}")).expect("the script is right").play();
    let left: Vec<String> = played.subject.state().jobs.iter().map(|job| job.id.to_string()).collect();
    let last: Vec<String> = (4..=19).map(|nth| format!("shell_{}_0", 2 * nth - 1)).collect();
    assert_eq!(left, last);
}

/// Plays each beginning of a script: whether anything is unstopped at its end, and what is being stopped.
fn under_way(script: &[(&str, bool, Vec<EffectKey>)]) {
    for end in 1..=script.len() {
        let lines: Vec<&str> = script[..end].iter().map(|(line, ..)| *line).collect();
        let played = Scenario::parse(&lines.join("\n")).expect("the script is right").play();
        let state = played.subject.state();
        let (_, unstopped, stopping) = &script[end - 1];
        assert_eq!((state.unstopped(), &state.stopping()), (*unstopped, stopping), "after {lines:#?}");
        // What is stopped is under way until it is gone.
        let idle = !unstopped && state.at_rest() && stopping.is_empty();
        assert_eq!([state.is_idle(), View::of(state).is_idle()], [idle; 2], "after {lines:#?}");
    }
}

/// A writer may take an agent up whose tools are gone, unless one of them may still be started.
#[test]
fn g7_only_tools_that_may_still_be_started_are_needed() {
    let script = r#"
        template parallel 1
        start
        say "go"
        answer; calls fs_read{}, bash_run{"n":1}, fs_write{}, fs_read{"n":3} invalid "no such path", nope{}
    "#;
    let needed = |script: &str| {
        let subject = Scenario::parse(script).expect("the script is right").play().subject;
        subject.state().tools_to_run().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(needed(script), ["fs_read", "bash_run", "fs_write"], "one that runs and is replayable");
    let script = format!("{script}\ntool call_1_0 ok 1");
    assert_eq!(needed(&script), ["fs_write"], "one that runs is never started again");
    let script = format!("{script}\ntool call_1_1 ok 1\ntool call_1_2 ok 1");
    assert_eq!(needed(&script), [""; 0]);
}

/// A batch names the head that the journal must have before it, and is empty only where there is nothing to append.
#[test]
fn g5_a_batch_names_the_head_that_it_follows() {
    let mut subject = Subject::new(Setup::default());
    let create = Input::Create { template: TemplateId::new("t"), metadata: serde_json::Map::new() };
    let first = subject.inputs([Input::Open { strategy: Strategy::Crash }, create]).unwrap();
    assert_eq!((first.expected(), first.is_empty(), first.entries.len()), (Some(Seq::ZERO), false, 2));
    assert_eq!(first.grade(), Durability::Synced);
    let second = subject.input(Input::SetTodos { todos: Vec::new(), version: None }).unwrap();
    assert_eq!(second.expected(), Some(Seq(2)));
    let nothing = subject.input(Input::Tick).unwrap();
    assert_eq!((nothing.expected(), nothing.is_empty()), (None, true));
}
