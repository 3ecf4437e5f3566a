//! Racing first messages and repeats: one agent, one message a key, whatever arrives when, and over restarts.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::Method;
use futures_util::future::join_all;
use kode_testkit::rounds::rounds;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{Answer, World, request};

/// Agents, keys of each, and posts of each key: 20,000 posts on 1,000 keys.
const AGENTS: u64 = 20;
const KEYS: u64 = 50;
const POSTS: u64 = 20;
/// Lives of the server among which the posts are spread.
const LIVES: usize = 8;

/// One post of a message under a key.
#[derive(Clone, Copy)]
struct Post {
    agent: u64,
    key: u64,
}

impl Post {
    /// A task of its own, as a request to a server has it.
    async fn send(self, router: Router, text: String) -> Answer {
        let (path, key) = (format!("/api/agents/user:{}/messages", self.agent), format!("key {}", self.key));
        let sent = request(Method::POST, &path, &[("idempotency-key", &key)], Some(json!({ "text": text })));
        tokio::spawn(async move { Answer::of(router.oneshot(sent).await.unwrap()).await }).await.unwrap()
    }

    fn text(self) -> String {
        format!("message {} of {}", self.key, self.agent)
    }
}

/// Every post of every key, in an order that a seed decides.
fn shuffled(seed: u64) -> Vec<Post> {
    let every = |agent| (0..KEYS * POSTS).map(move |n| Post { agent, key: n % KEYS });
    let mut posts: Vec<Post> = (0..AGENTS).flat_map(every).collect();
    let mut roll = 20_261_127 + seed;
    for at in (1..posts.len()).rev() {
        roll = roll.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        posts.swap(at, (roll >> 33) as usize % (at + 1));
    }
    posts
}

/// The user's messages of an agent, as `(id, text)` in the order of the history.
async fn said(world: &World, agent: u64) -> Vec<(String, String)> {
    let page = world.get(&format!("/api/agents/user:{agent}/messages?limit=1000")).await;
    assert_eq!(page.json.get("next"), None);
    let messages = page.json["messages"].as_array().unwrap();
    let users = messages.iter().filter(|message| message["role"] == "user");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    users.map(|message| (text(&message["id"]), text(&message["content"][0]["text"]))).collect()
}

async fn until_at_rest(world: &World, agent: u64) {
    let path = format!("/api/agents/user:{agent}/status");
    loop {
        let status = world.get(&path).await.json;
        if status["state"] == "READY" && status["queued"] == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// On one thread all of them ask before the first opening is done.
#[tokio::test]
async fn g1_g5_a_hundred_racing_first_messages_meet_one_agent_in_one_order() {
    race_first_messages(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g5_a_hundred_first_messages_in_parallel_meet_one_agent_in_one_order() {
    race_first_messages(rounds("races of 100 first messages in parallel", 10, 100)).await;
}

async fn race_first_messages(races: u64) {
    for _ in 0..races {
        let world = World::new();
        let router = world.router();
        let racing =
            join_all((0..100).map(|key| Post { agent: 0, key }.send(router.clone(), format!("{key}"))));
        let mut answers: Vec<(u64, String)> = Vec::new();
        for answer in racing.await {
            assert_eq!(answer.status, 202, "{:?}", answer.json);
            let id = answer.json["messageId"].as_str().unwrap().to_owned();
            answers.push((answer.json["cursor"].as_u64().unwrap(), id));
        }
        until_at_rest(&world, 0).await;
        let said: Vec<String> = said(&world, 0).await.into_iter().map(|(id, _)| id).collect();
        let told = world.listen("/api/agents/user:0/stream?since=0").await.rest().await;
        let dones = told.iter().filter(|frame| frame.kind() == "done");
        let answered: Vec<String> = dones
            .flat_map(|done| done.data["event"]["messageIds"].as_array().unwrap().clone())
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        assert_eq!((said.len(), &said), (100, &answered), "the history and the turns have one order");
        assert_eq!(told.iter().filter(|frame| frame.kind() == "agent_created").count(), 1);
        // A message's cursor is not above that of one that came after it.
        let place =
            |id: &String| said.iter().position(|other| other == id).expect("what was accepted is there");
        answers.sort_by_key(|(_, id)| place(id));
        assert!(answers.is_sorted_by_key(|(cursor, _)| *cursor), "{answers:?}");
    }
}

/// Sends everything over some lives of the server; the first answer to each key.
async fn send_all(posts: &[Post], world: &mut World) -> BTreeMap<(u64, u64), Value> {
    let mut first = BTreeMap::new();
    for life in posts.chunks(posts.len() / LIVES) {
        // The life before ended in the middle of its turns.
        world.start_again();
        let router = world.router();
        let answers = join_all(life.iter().map(|post| post.send(router.clone(), post.text()))).await;
        for (Post { agent, key }, answer) in life.iter().zip(answers) {
            assert_eq!(answer.status, 202, "{:?}", answer.json);
            let first = first.entry((*agent, *key)).or_insert_with(|| answer.json.clone());
            assert_eq!(*first, answer.json, "the first answer again");
        }
    }
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_repeats_under_one_key_are_one_message_also_racing_and_over_restarts() {
    for seed in 0..rounds("20,000 duplicate posts on 1,000 keys", 1, 10) {
        let mut world = World::new();
        let answers = send_all(&shuffled(seed), &mut world).await;
        assert_eq!(answers.len() as u64, AGENTS * KEYS);
        for agent in 0..AGENTS {
            until_at_rest(&world, agent).await;
            let expected = answers.range((agent, 0)..(agent + 1, 0)).map(|((agent, key), answer)| {
                let id = answer["messageId"].as_str().unwrap().to_owned();
                (id, Post { agent: *agent, key: *key }.text())
            });
            let expected: BTreeMap<String, String> = expected.collect();
            let said = said(&world, agent).await;
            assert_eq!((said.len(), said.into_iter().collect()), (expected.len(), expected));
        }
        let others = answers.keys().map(|(agent, key)| Post { agent: *agent, key: *key });
        let refused = join_all(others.map(|post| post.send(world.router(), "another body".into()))).await;
        assert!(refused.iter().all(|answer| answer.refusal() == (422, "idempotency_key_reused")));
    }
}

#[tokio::test]
async fn g1_a_key_is_known_for_a_day_also_after_a_restart() {
    let hour = 3_600_000;
    let (mut world, post) = (World::new(), Post { agent: 0, key: 0 });
    let send = async |world: &World| post.send(world.router(), post.text()).await.json["messageId"].clone();
    let first = send(&world).await;
    world.clock.advance(24 * hour - 1);
    assert_eq!(send(&world).await, first);
    world.start_again();
    assert_eq!(send(&world).await, first);
    // Beyond the day, the next message under a key clears what is out of date.
    world.clock.advance(hour);
    Post { agent: 0, key: 1 }.send(world.router(), "another".into()).await;
    assert_ne!(send(&world).await, first);
}
