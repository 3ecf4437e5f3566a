//! Agents that are taken up before anybody asks for them.

use kode_pool::PoolError;

use crate::world::{World, id, made};

#[tokio::test]
async fn agents_are_taken_up_by_name_and_each_says_what_came_of_it() {
    let world = World::new();
    let before = world.pool(10);
    for name in ["a", "b"] {
        made(&before, name).await;
    }
    before.shutdown(std::time::Duration::ZERO).await;
    let pool = world.pool(10);
    let told = pool.prefetch([id("a"), id("nobody"), id("b"), id("a")]).await;
    let missing = Err(PoolError::NotFound(id("nobody")));
    assert_eq!(told, [(id("a"), Ok(())), (id("nobody"), missing), (id("b"), Ok(())), (id("a"), Ok(()))]);
    assert_eq!(pool.stats().resident, 2);
}

#[tokio::test]
async fn all_under_a_prefix_are_taken_up_as_far_as_there_is_room_and_nobody_makes_way() {
    let world = World::new();
    let before = world.pool(10);
    for name in ["user:1", "user:1:a", "user:1:b", "user:12", "other"] {
        made(&before, name).await;
    }
    before.shutdown(std::time::Duration::ZERO).await;

    let pool = world.pool(10);
    assert_eq!(pool.resume_all("user:1").await, Ok(3), "whole segments");
    assert!(!pool.is_resident(&id("user:12")) && !pool.is_resident(&id("other")));
    assert_eq!(pool.resume_all("user:1").await, Ok(3), "those that live count");
    assert_eq!(pool.resume_all("nobody").await, Ok(0));
    assert_eq!(pool.resume_all("").await, Ok(5));
    pool.shutdown(std::time::Duration::ZERO).await;

    let small = world.pool(2);
    small.get(&id("other")).await.unwrap();
    assert_eq!(small.resume_all("user:1").await, Ok(1), "one place was free");
    assert!(small.is_resident(&id("other")), "nobody made way");
}
