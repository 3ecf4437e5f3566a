//! Forks in a pool: live at once, one a name, and files that go with the last agent that uses them.

use std::time::Duration;

use kode_core::id::{AgentId, Cursor};
use kode_core::lineage::NotForkable;
use kode_core::store::{Catalog, Leases};
use kode_core::{ForkSpec, ForkWorkspace};
use kode_pool::PoolError;
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, dones, id, made, plain};

fn named(name: &str) -> ForkSpec {
    ForkSpec { agent: Some(id(name)), ..ForkSpec::default() }
}

fn shared(name: &str) -> ForkSpec {
    ForkSpec { workspace: ForkWorkspace::Shared, ..named(name) }
}

#[tokio::test]
async fn a_fork_is_live_at_once_and_listed_with_where_it_comes_from() {
    let world = World::new();
    let pool = world.pool(10);
    let sent = pool.send(&id("a"), plain(), "hello".into()).await.unwrap();
    dones(&pool, "a", sent.cursor).await;
    let forked = pool.fork(&id("a"), named("b")).await.unwrap();
    assert!(pool.is_resident(&id("b")));
    assert_eq!(forked.from.agent_id, id("a"));

    let again = pool.fork(&id("b"), named("c")).await.unwrap();
    let lineage: Vec<_> = again.agent.view().lineage.iter().map(|a| a.agent_id.clone()).collect();
    assert_eq!(lineage, [id("a"), id("b")]);
    let listed = pool.list(&[""], None, 10).await.unwrap().agents;
    let from = |info: &kode_pool::AgentInfo| info.view.as_ref().unwrap().lineage.last().cloned();
    let from: Vec<_> = listed.iter().map(|info| from(info).map(|a| a.agent_id)).collect();
    assert_eq!(from, [None, Some(id("a")), Some(id("b"))]);

    let sent = pool.send(&id("b"), plain(), "on".into()).await.unwrap();
    assert_eq!(dones(&pool, "b", sent.cursor).await.len(), 1);
    assert_eq!(pool.look(&id("a")).await.unwrap().unwrap().transcript.len(), 2);
}

#[tokio::test]
async fn the_tree_of_forks_is_found_page_by_page() {
    let world = World::new();
    let pool = world.pool(100);
    for name in ["user:1", "user:2", "user:10"] {
        made(&pool, name).await;
    }
    let child = pool.fork(&id("user:1"), ForkSpec::default()).await.unwrap().agent.id().clone();
    let grandchild = pool.fork(&child, ForkSpec::default()).await.unwrap().agent.id().clone();
    pool.fork(&id("user:1"), named("user:2:copy")).await.unwrap();
    pool.fork(&id("user:2"), named("user:1:other")).await.unwrap();

    let names = async |of: &AgentId, prefix: &str, page: usize| {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let found = pool.forks(of, &[prefix], after.as_ref(), page).await.unwrap();
            names.extend(found.forks.into_iter().map(|info| info.id));
            match found.next {
                Some(next) => after = Some(next),
                None => return names,
            }
        }
    };
    for page in [1, 3, 100] {
        let all = names(&id("user:1"), "", page).await;
        assert_eq!(all, [child.clone(), grandchild.clone(), id("user:2:copy")], "{page} a page");
    }
    assert_eq!(names(&id("user:1"), "user:1", 100).await, [child.clone(), grandchild.clone()]);
    assert_eq!(names(&child, "", 100).await, std::slice::from_ref(&grandchild));
    assert_eq!(names(&grandchild, "", 100).await, [] as [AgentId; 0]);
}

#[tokio::test]
async fn g5_of_many_forks_under_one_name_one_is_made_and_a_message_meets_it() {
    let world = World::new();
    let pool = world.pool(100);
    made(&pool, "a").await;
    let tries = (0..20).map(|nth| {
        let pool = pool.clone();
        tokio::spawn(async move {
            if nth % 4 == 3 {
                pool.send(&id("b"), plain(), "hello".into()).await.map(drop)
            } else {
                pool.fork(&id("a"), named("b")).await.map(drop)
            }
        })
    });
    let (mut made, mut sent) = (0, 0);
    for (nth, tried) in tries.collect::<Vec<_>>().into_iter().enumerate() {
        match tried.await.unwrap() {
            Ok(()) if nth % 4 == 3 => sent += 1,
            Ok(()) => made += 1,
            Err(error) => assert_eq!(error, PoolError::Exists(id("b"))),
        }
    }
    // A message may have made the agent before any fork came.
    assert!(made <= 1 && sent == 5, "{made} made, {sent} sent");
    assert_eq!(world.store.list("", None, 10).await.unwrap(), [id("a"), id("b")]);
}

#[tokio::test]
async fn a_message_that_waited_for_a_fork_that_failed_makes_an_agent() {
    let world = World::new();
    let pool = world.pool(100);
    let (nobody, name) = (id("nobody"), id("b"));
    let (forked, sent) =
        tokio::join!(pool.fork(&nobody, named("b")), pool.send(&name, plain(), "hello".into()));
    assert_eq!(forked.err(), Some(PoolError::NotFound(id("nobody"))));
    assert_eq!(dones(&pool, "b", sent.unwrap().cursor).await.len(), 1);
}

#[tokio::test]
async fn twenty_forks_of_one_agent_at_work_are_made_at_once() {
    let world = World::playing(
        [Script::new().call("slow", json!({}))].into_iter().chain((0..21).map(|_| Script::new().text("ok"))),
    );
    let pool = world.pool(100);
    let sent = pool.send(&id("a"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let forks = (0..20).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.fork(&id("a"), ForkSpec::default()).await.unwrap().agent })
    });
    for fork in forks.collect::<Vec<_>>() {
        let view = fork.await.unwrap().view();
        assert_eq!((view.at_rest, view.transcript.len()), (true, 1));
    }
    assert_eq!(pool.list(&["a:fork"], None, 100).await.unwrap().agents.len(), 20);
    world.gate.open();
    assert_eq!(dones(&pool, "a", sent.cursor).await.len(), 1);
}

#[tokio::test]
async fn full_and_draining_pools_fork_nothing() {
    let world = World::held();
    let pool = world.pool(2);
    for name in ["a", "b"] {
        pool.send(&id(name), plain(), "work".into()).await.unwrap();
    }
    assert_eq!(pool.fork(&id("a"), named("c")).await.err(), Some(PoolError::Full { max: 2 }));
    world.gate.open();
    pool.shutdown(Duration::from_secs(1)).await;
    assert_eq!(pool.fork(&id("a"), named("c")).await.err(), Some(PoolError::Draining));
    assert_eq!(world.store.list("", None, 10).await.unwrap(), [id("a"), id("b")]);
    assert_eq!(world.files.copies(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sleeping_parent_is_not_woken_and_a_fork_at_rest_leaves_nothing_unfinished() {
    let world = World::new();
    let pool = world.pool(10);
    let parent = made(&pool, "a").await;
    assert!(parent.put_away(false).await);
    pool.fork(&id("a"), named("b")).await.unwrap();
    assert!(!pool.is_resident(&id("a")));
    pool.shutdown(Duration::ZERO).await;
    assert_eq!(world.store.unfinished().await.unwrap(), []);

    let next = world.pool(10);
    let at = kode_core::lineage::ForkPoint::Seq(kode_core::id::Seq(99));
    let refused = next.fork(&id("a"), ForkSpec { at, ..ForkSpec::default() }).await.err();
    assert!(matches!(refused, Some(PoolError::NotForkable(NotForkable::Future { .. }))), "{refused:?}");
}

#[tokio::test]
async fn g7_shared_files_go_with_the_last_agent_that_is_deleted_with_them() {
    let world = World::new();
    let pool = world.pool(10);
    made(&pool, "a").await;
    world.files.workspace(&id("a")).put("note", "x");
    pool.fork(&id("a"), shared("b")).await.unwrap();
    pool.fork(&id("b"), shared("c")).await.unwrap();
    let note = || world.files.workspace(&id("a")).text("note");

    pool.delete(&id("b"), true).await.unwrap();
    assert_eq!(note().as_deref(), Some("x"), "the owner and another one use them");
    pool.delete(&id("a"), true).await.unwrap();
    assert_eq!(note().as_deref(), Some("x"), "a fork uses them");
    // Also after it was put away and taken up again.
    assert!(pool.get(&id("c")).await.unwrap().put_away(false).await);
    let sent = pool.send(&id("c"), plain(), "hello".into()).await.unwrap();
    dones(&pool, "c", sent.cursor).await;
    pool.delete(&id("c"), true).await.unwrap();
    assert_eq!(note(), None);
}

#[tokio::test]
async fn g7_shared_files_stay_for_an_owner_that_lives_or_came_back() {
    let world = World::new();
    let pool = world.pool(10);
    made(&pool, "a").await;
    world.files.workspace(&id("a")).put("note", "x");
    let note = || world.files.workspace(&id("a")).text("note");
    pool.fork(&id("a"), shared("b")).await.unwrap();
    assert!(pool.get(&id("a")).await.unwrap().put_away(false).await);
    pool.delete(&id("b"), true).await.unwrap();
    assert_eq!(note().as_deref(), Some("x"), "its owner sleeps");

    pool.fork(&id("a"), shared("c")).await.unwrap();
    pool.delete(&id("a"), true).await.unwrap();
    made(&pool, "a").await;
    pool.delete(&id("c"), true).await.unwrap();
    assert_eq!(note().as_deref(), Some("x"), "an agent of that name works in them again");
    pool.delete(&id("a"), true).await.unwrap();
    assert_eq!(note(), None);
}

#[tokio::test]
async fn a_copy_is_removed_with_its_agent_and_kept_without_that_wish() {
    let world = World::new();
    let pool = world.pool(10);
    made(&pool, "a").await;
    world.files.workspace(&id("a")).put("note", "x");
    for (name, workspace) in [("kept", false), ("gone", true)] {
        let fork = pool.fork(&id("a"), named(name)).await.unwrap().agent;
        let kode_core::lineage::Files::Copied { ticket } = fork.view().files.clone() else {
            panic!("a copy")
        };
        // As a crash leaves it that came before the copy had its name.
        world.files.unsettle(&id(name), &ticket);
        pool.delete(&id(name), workspace).await.unwrap();
    }
    let text = |name| world.files.workspace(&id(name)).text("note");
    assert_eq!((text("kept").as_deref(), text("gone"), text("a").as_deref()), (Some("x"), None, Some("x")));
    assert_eq!(world.files.copies(), Vec::<String>::new());
    assert_eq!(pool.fork(&id("a"), named("kept")).await.err(), Some(PoolError::FilesInTheWay(id("kept"))));
    let first = pool.runtime().subscription(&id("a"), Cursor::ZERO).next_ready().await;
    assert!(first.unwrap().is_some());
}
