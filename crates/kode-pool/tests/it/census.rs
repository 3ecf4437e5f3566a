//! Lists over many agents.

use kode_core::store::{Damage, StoreError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::{World, careful, id, made, until};

async fn names(
    pool: &kode_pool::Pool,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<String>, bool) {
    let page = pool.list(&[prefix], after.map(id).as_ref(), limit).await.unwrap();
    (page.agents.iter().map(|info| info.id.to_string()).collect(), page.next.is_some())
}

#[tokio::test]
async fn pages_follow_on_each_other_within_a_prefix_of_whole_segments() {
    let world = World::new();
    let pool = world.pool(2);
    for name in ["user:1", "user:12", "user:1:session:a", "user:1:session:b"] {
        made(&pool, name).await;
    }
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&pool, "user:1", None, 2).await, (strings(&["user:1", "user:1:session:a"]), true));
    assert_eq!(
        names(&pool, "user:1", Some("user:1:session:a"), 2).await,
        (strings(&["user:1:session:b"]), false)
    );
    assert_eq!(names(&pool, "", None, 4).await.0.len(), 4);
}

#[tokio::test]
async fn pages_over_several_prefixes_are_in_one_order_with_nobody_twice() {
    let world = World::new();
    let pool = world.pool(9);
    let all = ["a", "a:x", "a2", "a2:y", "b", "b:z", "c"];
    for name in all {
        made(&pool, name).await;
    }
    let under = ["b", "a", "a:x", "a2:y"];
    let expected = ["a", "a2:y", "a:x", "b", "b:z"];
    for limit in 1..=6 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = pool.list(&under, after.as_ref(), limit).await.unwrap();
            assert!(page.agents.len() <= limit);
            seen.extend(page.agents.into_iter().map(|info| info.id.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "by {limit}");
    }
    assert!(pool.list(&[""; 0], None, 9).await.unwrap().agents.is_empty(), "no prefix reaches nobody");
    assert_eq!((pool.count(&under, 9).await.unwrap(), pool.count(&[""], 4).await.unwrap()), (5, 4));
    assert_eq!(pool.running(&[""]), 0);
}

#[tokio::test]
async fn an_agent_that_cannot_be_read_does_not_hide_the_others() {
    let world = World::new();
    let pool = world.pool(1);
    made(&pool, "a").await;
    made(&pool, "b").await;
    let damage = Damage { agent: id("a"), place: "line 3".into(), what: "a checksum".into() };
    world.faults.fail_nth(Op::Read, 0, When::Before, StoreError::Damaged(damage));
    let page = pool.list(&[""], None, 10).await.unwrap();
    let seen: Vec<_> = page.agents.iter().map(|i| (i.id.as_str(), i.resident, i.view.is_ok())).collect();
    assert_eq!(seen, [("a", false, false), ("b", true, true)]);
}

#[tokio::test]
async fn open_approvals_of_all_agents_are_found_by_prefix() {
    let asks = || Script::new().call("slow", json!({ "n": 1 }));
    let world = World::playing([asks(), asks()]);
    let pool = world.pool(10);
    for name in ["user:1", "user:2"] {
        pool.send(&id(name), careful(), "work".into()).await.unwrap();
        until(&pool.get(&id(name)).await.unwrap(), |view| !view.approvals.is_empty()).await;
    }
    let open = |prefix| {
        let pool = pool.clone();
        async move {
            let open = pool.approvals(&[prefix]).await.unwrap();
            open.into_iter().map(|(id, open)| (id.to_string(), open.call.name)).collect::<Vec<_>>()
        }
    };
    assert_eq!(open("user:1").await, [("user:1".to_owned(), "slow".to_owned())]);
    assert_eq!(open("").await.len(), 2);
    assert_eq!(open("user:3").await, []);
}
