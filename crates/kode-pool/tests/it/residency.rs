//! Who is in memory when there is no room for all.

use kode_pool::PoolError;

use crate::world::{World, id, made, plain};

#[tokio::test]
async fn g10_the_least_recently_used_idle_agent_makes_room() {
    let world = World::new();
    let pool = world.pool(2);
    made(&pool, "a").await;
    made(&pool, "b").await;
    made(&pool, "a").await;
    made(&pool, "c").await;
    let resident = ["a", "b", "c"].map(|name| pool.is_resident(&id(name)));
    assert_eq!(resident, [true, false, true]);
    let stats = pool.stats();
    assert_eq!((stats.resident, stats.max, stats.evicted), (2, 2, 1));
    let asleep = pool.look(&id("b")).await.unwrap().unwrap();
    assert!(asleep.at_rest, "the evicted one is in the store, whole");
}

#[tokio::test]
async fn an_agent_at_work_is_never_evicted_and_a_pool_of_such_is_full() {
    let world = World::held();
    let pool = world.pool(1);
    pool.send(&id("busy"), plain(), "work".into()).await.unwrap();
    let refused = pool.send(&id("late"), plain(), "me too".into()).await;
    assert_eq!(refused, Err(PoolError::Full { max: 1 }));
    assert!(pool.is_resident(&id("busy")));
    assert_eq!(pool.look(&id("late")).await.unwrap(), None, "nothing was made for who found no place");

    world.gate.open();
    let busy = pool.get(&id("busy")).await.unwrap();
    crate::world::until(&busy, |view| view.at_rest).await;
    pool.send(&id("late"), plain(), "me too".into()).await.unwrap();
    assert!(!pool.is_resident(&id("busy")));
}

#[tokio::test]
async fn asking_for_nobody_or_looking_at_someone_moves_nobody() {
    let world = World::new();
    let pool = world.pool(1);
    made(&pool, "a").await;
    made(&pool, "b").await;
    assert!(pool.get(&id("nobody")).await.is_err());
    pool.look(&id("a")).await.unwrap().unwrap();
    assert!(pool.is_resident(&id("b")) && !pool.is_resident(&id("a")));
    assert_eq!(pool.stats().evicted, 1);
}

#[tokio::test]
async fn an_evicted_agent_goes_on_where_it_was() {
    let world = World::new();
    let pool = world.pool(1);
    for turn in 1..=3 {
        pool.send(&id("a"), plain(), format!("turn {turn}").into()).await.unwrap();
        let agent = pool.get(&id("a")).await.unwrap();
        crate::world::until(&agent, |view| view.at_rest).await;
        assert_eq!(agent.view().transcript.len(), turn * 2);
        made(&pool, "other").await;
    }
}

#[tokio::test]
async fn many_more_agents_than_places_all_get_their_answer() {
    let world = World::new();
    let pool = world.pool(4);
    let turns = (0..100).map(|n| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let name = format!("user:{n}");
            loop {
                match pool.send(&id(&name), plain(), "hello".into()).await {
                    Err(PoolError::Full { .. } | PoolError::Gone) => tokio::task::yield_now().await,
                    sent => break crate::world::dones(&pool, &name, sent.unwrap().cursor).await.len(),
                }
            }
        })
    });
    for turn in turns.collect::<Vec<_>>() {
        assert_eq!(turn.await.unwrap(), 1);
    }
    assert!(pool.stats().resident <= 4);
    assert_eq!(pool.list(&["user"], None, 1_000).await.unwrap().agents.len(), 100);
}
