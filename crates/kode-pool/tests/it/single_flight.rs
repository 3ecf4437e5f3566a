//! One live agent a name, whoever asks and whatever fails.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use kode_core::id::TemplateId;
use kode_core::store::StoreError;
use kode_core::template::Template;
use kode_core::{AgentSpec, Runtime, SendError};
use kode_pool::{Pool, PoolError, PoolOptions};
use kode_testkit::faulty::{Op, When};

use crate::world::{World, careful, id, made, plain};

/// Scenario 44. In upstream concurrent creations pass the capacity [S].
#[tokio::test]
async fn g5_concurrent_callers_meet_one_opening_and_one_of_them_created_it() {
    let world = World::new();
    let pool = world.pool(10);
    let name = id("user:1");
    let opened = join_all((0..50).map(|_| pool.resume_or_create(&name, plain()))).await;
    let created = opened.iter().filter(|opened| opened.as_ref().unwrap().created).count();
    assert_eq!((created, world.times_opened(), pool.stats().resident), (1, 1, 1));
}

#[tokio::test]
async fn g1_what_many_callers_send_at_once_to_a_new_agent_is_all_there() {
    let world = World::new();
    let pool = world.pool(10);
    let name = id("user:1");
    let sent = join_all((0..20).map(|n| pool.send(&name, plain(), format!("{n}").into()))).await;
    assert!(sent.iter().all(Result::is_ok));
    let agent = pool.get(&name).await.unwrap();
    crate::world::until(&agent, |view| view.at_rest).await;
    let mut texts: Vec<u32> = agent.view().transcript.iter().filter_map(|m| m.text().parse().ok()).collect();
    texts.sort_unstable();
    assert_eq!(texts, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_not_made_by_asking_for_it() {
    let world = World::new();
    let pool = world.pool(10);
    let name = id("nobody");
    assert_eq!(pool.get(&name).await.err(), Some(PoolError::NotFound(name.clone())));
    assert_eq!(pool.look(&name).await.unwrap(), None);
    assert_eq!(pool.list(&[""], None, 10).await.unwrap().agents, Vec::new());
    assert_eq!(world.store_marks().await, Vec::new());
}

impl World {
    async fn store_marks(&self) -> Vec<kode_core::id::AgentId> {
        kode_core::store::Leases::unfinished(&self.store).await.unwrap()
    }
}

#[tokio::test]
async fn a_failed_opening_is_told_to_all_who_waited_and_not_remembered() {
    let world = World::new();
    let pool = world.pool(10);
    let down = StoreError::Unavailable("down".into());
    world.faults.fail_nth(Op::Acquire, 0, When::Before, down.clone());
    let name = id("user:1");
    let (first, second) =
        tokio::join!(pool.resume_or_create(&name, plain()), pool.resume_or_create(&name, plain()));
    assert_eq!(
        [first.err(), second.err()],
        [Some(PoolError::Store(down.clone())), Some(PoolError::Store(down))]
    );
    assert!(pool.resume_or_create(&name, plain()).await.unwrap().created);
}

#[tokio::test]
async fn a_panic_while_an_agent_is_taken_up_spoils_that_opening_only() {
    let world = World::new();
    let spoil = Arc::new(AtomicBool::new(true));
    let spoiled = spoil.clone();
    let runtime = Runtime::builder(Arc::new(world.store.clone()), world.model.clone(), world.files.clone())
        .template(Template::new("plain", ""))
        .on_agent(move |_| {
            if spoiled.swap(false, Ordering::SeqCst) {
                panic_any("the host's callback fails");
            }
        })
        .build()
        .unwrap();
    let pool = Pool::new(runtime, PoolOptions { max_agents: 1, idle: None });
    let name = id("user:1");
    assert_eq!(pool.resume_or_create(&name, plain()).await.err(), Some(PoolError::Panicked));
    let sent = pool.send(&name, plain(), "hello".into()).await;
    assert!(sent.is_ok(), "the name and its place are free again: {sent:?}");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_half_opened_agent() {
    let world = World::new();
    let pool = world.pool(1);
    let name = id("user:1");
    {
        let mut gone = std::pin::pin!(pool.resume_or_create(&name, plain()));
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
    }
    let opened = pool.resume_or_create(&name, plain()).await.unwrap();
    assert!(!opened.created, "the opening went on without its caller");
    assert_eq!(world.times_opened(), 1);
}

#[tokio::test]
async fn an_agent_whose_driver_ended_by_itself_is_opened_anew() {
    let world = World::new();
    let pool = world.pool(1);
    let first = made(&pool, "user:1").await;
    assert!(first.put_away(false).await);
    assert!(first.is_gone() && !pool.is_resident(&id("user:1")));
    let second = pool.get(&id("user:1")).await.unwrap();
    assert!(!second.is_gone());
    assert_eq!((world.times_opened(), pool.stats().resident), (2, 1));
}

#[tokio::test]
async fn one_who_finds_the_agent_put_away_asks_again_once() {
    let world = World::new();
    let pool = world.pool(1);
    made(&pool, "user:1").await;
    let put_away = AtomicBool::new(false);
    let ask = |agent: kode_core::Agent| {
        let first = !put_away.swap(true, Ordering::SeqCst);
        async move {
            if first {
                agent.put_away(false).await;
            }
            agent.set_todos(Vec::new(), None).await.map(|todos| todos.version)
        }
    };
    assert_eq!(pool.ask(&id("user:1"), ask).await, Ok(1));
    let never = |_| async { Err::<(), _>(SendError::Gone) };
    assert_eq!(pool.ask(&id("user:1"), never).await, Err(PoolError::Gone));
}

#[tokio::test]
async fn another_template_is_refused_and_leaves_the_agent_as_it_was() {
    let world = World::new();
    let pool = world.pool(10);
    made(&pool, "user:1").await;
    let refused = pool.resume_or_create(&id("user:1"), careful()).await.err();
    assert_eq!(refused, Some(PoolError::OtherTemplate(TemplateId::new("plain"))));

    let nonsense = AgentSpec { template: Some(TemplateId::new("nonsense")), ..plain() };
    let refused = pool.resume_or_create(&id("user:2"), nonsense).await.err();
    assert_eq!(refused, Some(PoolError::UnknownTemplate(TemplateId::new("nonsense"))));
    assert_eq!(pool.look(&id("user:2")).await.unwrap(), None);
}
