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
    let page = pool.list(prefix, after.map(id).as_ref(), limit).await.unwrap();
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
async fn an_agent_that_cannot_be_read_does_not_hide_the_others() {
    let world = World::new();
    let pool = world.pool(1);
    made(&pool, "a").await;
    made(&pool, "b").await;
    let damage = Damage { agent: id("a"), place: "line 3".into(), what: "a checksum".into() };
    world.faults.fail_nth(Op::Read, 0, When::Before, StoreError::Damaged(damage));
    let page = pool.list("", None, 10).await.unwrap();
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
            let open = pool.approvals(prefix).await.unwrap();
            open.into_iter().map(|(id, open)| (id.to_string(), open.call.name)).collect::<Vec<_>>()
        }
    };
    assert_eq!(open("user:1").await, [("user:1".to_owned(), "slow".to_owned())]);
    assert_eq!(open("").await.len(), 2);
    assert_eq!(open("user:3").await, []);
}
