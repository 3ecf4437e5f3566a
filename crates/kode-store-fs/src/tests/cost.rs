//! What a turn writes: what it adds, at whatever length, with checkpoints and elided answers counted in. Bytes
//! handed to the disk are counted, no times.

use std::sync::Arc;

use kode_core::fact::Fact;
use kode_core::id::Seq;
use kode_core::store::{After, Journal, Leases};
use kode_core::template::Template;
use kode_core::{Agent, AgentSpec, Runtime};
use kode_testkit::scripted_model::{Script, ScriptedModel};
use kode_testkit::store_suite::pen::{HOLDER, NOW, TTL, id};
use kode_testkit::store_suite::run;
use kode_testkit::workspace::MemorySandbox;
use serde_json::json;

use super::power::open;
use super::sim::SimDisk;
use crate::FsStore;

/// An agent on a simulated disk whose model says these things.
async fn agent(disk: &SimDisk, scripts: Vec<Script>) -> (Runtime, Arc<FsStore>, Agent) {
    let store = Arc::new(open(disk));
    let mut template = Template::new("cost", "You are measured.");
    template.limits.max_steps = 1_000;
    let runtime =
        Runtime::builder(store.clone(), ScriptedModel::new(scripts), Arc::new(MemorySandbox::new()))
            .template(template)
            .default_model("scripted-1")
            .build()
            .expect("the template needs nothing");
    let agent = runtime.resume_or_create(&id("a"), AgentSpec::default()).await.expect("it can be made").agent;
    (runtime, store, agent)
}

fn answer() -> Script {
    (0..20).fold(Script::new(), |script, piece| script.text(format!("piece {piece} ")))
}

/// Scenario 52. Upstream rewrites the whole history at each step [S].
#[test]
fn g10_a_turn_writes_what_it_adds_at_whatever_length() {
    const WINDOW: usize = 150;
    run(async {
        let disk = SimDisk::new();
        let (_runtime, store, agent) = agent(&disk, vec![answer(); WINDOW * 4]).await;
        let mut windows = Vec::new();
        for _ in 0..4 {
            let before = disk.written();
            for _ in 0..WINDOW {
                agent.complete("go on").await.expect("the model answers");
            }
            windows.push((disk.written() - before) / WINDOW);
        }
        let entries = store.read(&id("a"), After::Seq(Seq::ZERO), usize::MAX).await.expect("it can be read");
        assert!(entries.iter().any(|e| matches!(e.fact, Fact::Elided { .. })), "nothing was elided");
        // A window may hold one checkpoint and one rewriting more than another; they do not grow with the history.
        let (least, most) = (windows.iter().min().expect("four"), windows.iter().max().expect("four"));
        assert!(*most < least * 2 && *most < 16 << 10, "bytes a turn: {windows:?}");
    });
}

#[test]
fn g10_a_long_run_writes_less_than_five_times_its_state() {
    run(async {
        let disk = SimDisk::new();
        let step = Script::new()
            .text("Next comes ")
            .text("this.")
            .call("nothing", json!({"text": "x".repeat(2_000)}));
        let mut steps = vec![step; 200];
        steps.push(answer());
        let (runtime, _store, agent) = agent(&disk, steps).await;
        let before = disk.written();
        agent.complete("do it all").await.expect("the model answers");
        agent.put_away(false).await;
        let written = disk.written() - before;
        let (state, _) = runtime.load(&id("a")).await.expect("it can be read");
        let weighs: usize = state.to_checkpoint().files.values().map(|file| file.len()).sum();
        assert_eq!(state.steps, 201);
        assert!(written < 5 * weighs, "{written} bytes for a state of {weighs}");
    });
}

/// Nor does anyone who opens the agent read its whole journal: not for the head, not for the lease, and for the state
/// only the checkpoint and a tail of about its weight.
#[test]
fn g10_opening_reads_the_state_and_not_what_led_to_it() {
    run(async {
        let disk = SimDisk::new();
        let (runtime, store, agent) = agent(&disk, vec![answer(); 500]).await;
        for _ in 0..500 {
            agent.complete("go on").await.expect("the model answers");
        }
        agent.put_away(true).await;
        let (state, covered) = runtime.load(&id("a")).await.expect("it can be read");
        let weighs: usize = state.to_checkpoint().files.values().map(|file| file.len()).sum();
        let before = disk.read();
        store.read(&id("a"), After::Seq(Seq::ZERO), usize::MAX).await.expect("it can be read");
        let journal = disk.read() - before;
        let mut so_far = disk.read();
        let mut cost = || disk.read() - std::mem::replace(&mut so_far, disk.read());
        store.head(&id("a")).await.expect("it can be read");
        let head = cost();
        store.acquire(&id("a"), HOLDER, TTL, NOW).await.expect("it is free");
        let lease = cost();
        runtime.load(&id("a")).await.expect("it can be read");
        let load = cost();
        assert!(covered > Seq::ZERO && state.transcript.len() == 1_000);
        assert!(head * 5 < journal && lease * 5 < journal, "{head} and {lease} of {journal} bytes");
        assert!(load < 3 * weighs + (256 << 10), "{load} bytes for a state of {weighs}");
    });
}

/// Nor is a long answer in the way of who looks for what comes before it: to find the journal's end and the place asked
/// for, each of its bytes is passed once.
#[test]
fn g10_a_long_line_is_passed_once_by_each_look() {
    const LONG: usize = 1 << 20;
    run(async {
        let disk = SimDisk::new();
        let mut scripts = vec![answer(); 100];
        scripts.push(Script::new().text("x".repeat(LONG)));
        let (_runtime, store, agent) = agent(&disk, scripts).await;
        for _ in 0..100 {
            agent.complete("go on").await.expect("the model answers");
        }
        let before = agent.view().cursor;
        agent.complete("at length").await.expect("the model answers");
        agent.put_away(true).await;
        let mut so_far = disk.read();
        let mut cost = || disk.read() - std::mem::replace(&mut so_far, disk.read());
        store.read(&id("a"), After::Seq(Seq::ZERO), usize::MAX).await.expect("it can be read");
        let journal = cost();
        let page = store.read(&id("a"), After::Cursor(before), 1).await.expect("it can be read");
        let first = cost();
        assert!(page.len() == 1 && journal > 2 * LONG);
        assert!(first < 2 * journal, "{first} bytes for one entry of a journal that takes {journal}");
    });
}
