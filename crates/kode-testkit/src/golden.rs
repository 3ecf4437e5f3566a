//! Journals that must fold for ever: what a store of today looks like with every kind of fact in it, and what of a
//! store's fold later versions must still say.
//!
//! It writes no file itself: `cargo xtask golden add` does, and never over one that is there.

use std::sync::Arc;

use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, Cursor, Seq};
use kode_core::machine::{State, project};
use kode_core::store::{Durability, Store};
use kode_core::template::Template;
use kode_core::{AgentSpec, Runtime};
use serde_json::{Value, json};

use crate::scripted_model::{Script, ScriptedModel};
use crate::store_suite::checkpoints::checkpoint;
use crate::store_suite::elision::runs;
use crate::store_suite::facts::{awkward, every_kind};
use crate::store_suite::pen::{Pen, all, id, step};
use crate::workspace::MemorySandbox;

/// Fills an empty store: every kind of fact, elided answers, and an agent that lived.
///
/// # Panics
/// If the store refuses.
pub async fn fill(store: Arc<dyn Store>) {
    let shared = Shared(store);
    every(&shared, "every:kind", every_kind()).await;
    every(&shared, "every:awkward", awkward()).await;
    elided(&shared, "elided:answers").await;
    lived(shared.0, "lived:1").await;
}

/// A store behind a pointer, as the cases want it.
struct Shared(Arc<dyn Store>);

impl kode_core::store::decorate::Decorator for Shared {
    fn inner(&self) -> &dyn Store {
        &*self.0
    }
}

/// Each fact with as many events as it tells, some to a batch.
async fn every(store: &impl Store, agent: &str, facts: Vec<Fact>) {
    let mut pen = Pen::take(store, &id(agent)).await;
    for facts in facts.chunks(3) {
        let batch = pen.entries(facts.iter().map(|fact| (fact.clone(), told(fact))));
        pen.try_write(store, &batch, Durability::Synced).await.expect("the append is in order");
    }
    store.release(pen.lease, true).await.expect("a lease can be given back");
}

fn told(fact: &Fact) -> u32 {
    let (seq, epoch, at, cursor) = (Seq(1), kode_core::id::Epoch(1), 0, Cursor(1));
    let probe = Entry { seq, epoch, at, cursor, events: u32::MAX, fact: fact.clone() };
    u32::try_from(project(&probe).len()).expect("a fact tells few events")
}

/// Streamed answers of which only starts and ends are left, and one that is whole.
async fn elided(store: &impl Store, agent: &str) {
    let mut pen = Pen::take(store, &id(agent)).await;
    for number in 0..4 {
        pen.write(store, vec![step(number)]).await;
        for _ in 0..5 {
            pen.write_chunk(store, "some text ", 3).await;
        }
        pen.write(store, vec![step(number)]).await;
    }
    let runs = runs(&all(store, &pen.lease.agent).await);
    let covered = checkpoint(pen.head.seq.0, "not one of an agent");
    store.save_checkpoint(&pen.lease, &covered).await.expect("a checkpoint can be saved");
    store.elide(&pen.lease, &runs[..3]).await.expect("the runs are covered");
    pen.write_steps(store, 2).await;
    store.release(pen.lease, true).await.expect("a lease can be given back");
}

/// A few turns of a runtime, with thinking, a tool that is not there, and a checkpoint.
async fn lived(store: Arc<dyn Store>, agent: &str) {
    let scripts = [
        Script::new().thinking("hm").text("Let me ").text("look.").call("nothing", json!({"path": "a"})),
        Script::new().text("There is none."),
        Script::new().text("Goodbye."),
    ];
    let builder = Runtime::builder(store, ScriptedModel::new(scripts), Arc::new(MemorySandbox::new()));
    let template = Template::new("golden", "You are kept for ever.");
    let runtime = builder.template(template).default_model("scripted-1").build().expect("nothing is missing");
    let made =
        runtime.resume_or_create(&id(agent), AgentSpec::default()).await.expect("an agent can be made");
    for text in ["what is in a?", "thank you"] {
        made.agent.complete(text).await.expect("the model answers");
    }
    made.agent.put_away(true).await;
}

/// What each agent's journal folds to, and what it tells.
///
/// # Panics
/// If the store cannot be read.
pub async fn snapshot(store: &impl Store) -> Value {
    let agents = store.list("", None, usize::MAX).await.expect("agents can be listed");
    let mut told = serde_json::Map::new();
    for agent in agents {
        told.insert(agent.to_string(), fold(store, &agent).await);
    }
    told.into()
}

async fn fold(store: &impl Store, agent: &AgentId) -> Value {
    let entries = all(store, agent).await;
    let mut state = State::default();
    entries.iter().for_each(|entry| state.evolve(entry));
    let document = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("documents are JSON");
    let files = state.to_checkpoint().files;
    let files: serde_json::Map<_, _> =
        files.iter().map(|(name, bytes)| (name.clone(), document(bytes))).collect();
    let events: Vec<_> = entries.iter().flat_map(project).collect();
    json!({ "seq": state.seq, "state": files, "events": events })
}

/// Where `now` does not say what was said `then`, if it does not. What it says beyond is no matter: later versions
/// know more, and never something else.
#[must_use]
pub fn differs(then: &Value, now: &Value) -> Option<String> {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => then.iter().find_map(|(key, then)| {
            let now = now.get(key).unwrap_or(&Value::Null);
            differs(then, now).map(|place| format!(".{key}{place}"))
        }),
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            let pairs = then.iter().zip(now).enumerate();
            pairs.into_iter().find_map(|(at, (then, now))| Some(format!("[{at}]{}", differs(then, now)?)))
        }
        _ => (then != now).then(|| format!(": was {then}, is {now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_beyond_is_no_difference_and_what_is_not_said_is_one() {
        let then = json!({"a": [1, {"b": null}], "c": "x"});
        assert_eq!(differs(&then, &json!({"a": [1, {"b": null, "new": 1}], "c": "x", "d": 1})), None);
        let now = json!({"a": [1, {"b": 2}], "c": "x"});
        assert_eq!(differs(&then, &now), Some(".a[1].b: was null, is 2".into()));
        assert!(differs(&then, &json!({"a": [1], "c": "x"})).is_some());
        assert!(differs(&then, &json!({"a": [1, {}]})).is_some(), "c is gone");
    }
}
