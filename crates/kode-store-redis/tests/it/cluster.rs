//! The same on a cluster: of one node, which refuses whatever is not in one slot as every cluster does; and of three,
//! where agents and the index are on different nodes.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kode_core::store::Catalog as _;
use kode_store_redis::RedisStore;
use kode_testkit::servers::RedisCluster;
use kode_testkit::store_suite::pen::{Pen, all, id};
use kode_testkit::store_suite::{Bench, Clock, run};

/// A store of its own on a cluster that others use as well.
struct Tenant {
    url: String,
}

impl Tenant {
    fn of(cluster: &RedisCluster) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self { url: format!("{}?prefix=case-{}", cluster.url(), COUNT.fetch_add(1, Ordering::Relaxed)) }
    }
}

#[async_trait]
impl Bench for Tenant {
    type Store = RedisStore;

    async fn open(&self) -> RedisStore {
        RedisStore::open(&self.url.parse().expect("it is a url")).await.expect("the cluster is there")
    }

    fn clock(&self) -> Clock {
        Clock::Stores
    }
}

#[test]
fn every_case_of_the_suite_holds_on_a_cluster() {
    let Some(cluster) = RedisCluster::start(1) else { return };
    kode_testkit::store_suite!(one by one Tenant::of(&cluster));
}

async fn open(cluster: &RedisCluster) -> RedisStore {
    RedisStore::open(&cluster.url().parse().expect("it is a url")).await.expect("the cluster is there")
}

#[test]
fn agents_are_spread_over_three_nodes_and_found_on_each() {
    let Some(cluster) = RedisCluster::start(3) else { return };
    run(async {
        let store = open(&cluster).await;
        let names: Vec<String> = (0..60).map(|number| format!("user:{number:02}")).collect();
        for name in &names {
            Pen::take(&store, &id(name)).await.write_steps(&store, 2).await;
        }
        let (again, expected) = (open(&cluster).await, names.iter().map(|name| id(name)).collect::<Vec<_>>());
        assert_eq!(again.list("", None, 100).await, Ok(expected.clone()));
        assert_eq!(kode_core::store::Leases::unfinished(&again).await, Ok(expected.clone()));
        for agent in &expected {
            assert_eq!(all(&again, agent).await.len(), 2);
        }
        for key in ["names", "marks", "unfinished"] {
            let gone = (0..3).filter(|node| {
                cluster
                    .node(*node)
                    .say(&["DEL", &format!("kode:{{*}}:{key}")])
                    .is_ok_and(|said| said == ":1\r\n")
            });
            assert_eq!(gone.count(), 1, "{key} is in one slot");
        }
        assert_eq!(again.list("", None, 100).await, Ok(vec![]));
        assert_eq!(again.rebuild_index().await, Ok(60));
        assert_eq!(again.list("", None, 100).await, Ok(expected));
        for node in 0..3 {
            let keys = cluster.node(node).say(&["DBSIZE"]).expect("the node answers");
            assert_ne!(keys, ":0\r\n", "node {node} has nothing");
        }
    });
}
