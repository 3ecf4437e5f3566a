//! Being one of several nodes on a store: who this one is, and whether it may join those that are there.
//!
//! A node that could not be forwarded to, or that has other files than its peers, would work until the first request or
//! agent that moves. So it does not start, and says what is wrong. Which agents it takes is never decided here.

mod mark;

use std::path::Path;
use std::time::Duration;

use kode_core::id::Millis;
use kode_core::store::{Node, StoreError};
use kode_pool::Pool;
use kode_server::{Cluster, ClusterSecret};
use secrecy::SecretString;
use tokio::time::Instant;

use self::mark::Marks;
use crate::config::{Env, Settings, secret};
use crate::failure::Failure;

const SECRET: &str = "KODE_CLUSTER_SECRET";
/// Between two looks at who else is there.
const LOOK: Duration = Duration::from_millis(100);
/// How much longer than its word lasts a node is waited for that may be dead.
const SLACK: Duration = Duration::from_secs(1);
/// Longest name of a node, in bytes.
const ID_MAX: usize = 64;

/// Who this node is.
pub(crate) struct Membership {
    pub(crate) id: Option<String>,
    pub(crate) lease: Millis,
    /// Where its peers reach it, and what they show each other; without it, it is the only one.
    reached: Option<(String, Cluster)>,
}

impl Membership {
    /// As settings and environment have it.
    pub(crate) fn resolve(settings: &Settings, env: Env<'_>) -> Result<Self, Failure> {
        let id = settings.node_id.clone();
        if let Some(wrong) = id.as_deref().filter(|id| !is_name(id)) {
            return Err(Failure::usage(format!(
                "KODE_NODE_ID is {wrong:?}; a node's name is 1 to {ID_MAX} letters, digits, '-', '_' and '.', and begins with none of these"
            )));
        }
        let reached = match (settings.node_url.as_deref(), secret(SECRET, env)?) {
            (None, None) => None,
            (Some(url), Some(secret)) => {
                let secret = ClusterSecret::new(SecretString::from(secret));
                let secret = secret.map_err(|why| Failure::usage(format!("{SECRET}: {why}")))?;
                Some((address(url)?, Cluster::new(secret).map_err(Failure::failed)?))
            }
            (Some(_), None) => {
                return Err(Failure::usage(format!(
                    "KODE_NODE_URL is set, and {SECRET} is not: set it to the same value on all nodes, as nodes take nothing from each other without it"
                )));
            }
            (None, Some(_)) => {
                return Err(Failure::usage(format!(
                    "{SECRET} is set, and KODE_NODE_URL is not: say where the other nodes reach this one, such as http://10.0.0.7:3000"
                )));
            }
        };
        Ok(Self { id, lease: settings.lease_ms, reached })
    }

    /// What forwards to the others, where there may be some.
    pub(crate) fn cluster(&self) -> Option<Cluster> {
        self.reached.as_ref().map(|(_, cluster)| cluster.clone())
    }

    /// Joins the nodes of the pool's store, if it fits them. Those that it does not fit may be dead, so their word is
    /// waited for to end.
    pub(crate) async fn join(&self, pool: &Pool, workspace: &Path) -> Result<Joined, Failure> {
        let runtime = pool.runtime();
        let marks = Marks::make(workspace, runtime.holder())?;
        let url = self.reached.as_ref().map(|(url, _)| url.clone()).unwrap_or_default();
        let node = Node { id: runtime.holder().to_owned(), url, mark: marks.own().to_owned() };
        let until = Instant::now() + Duration::from_millis(self.lease) + SLACK;
        let mut waiting = false;
        while let Some((other, why)) = self.objection(pool, &node, &marks).await? {
            if Instant::now() >= until {
                return Err(Failure::failed(format!(
                    "this node cannot join the node {other:?} on its store: {why}"
                )));
            }
            if !std::mem::replace(&mut waiting, true) {
                eprintln!("kode: the node {other:?} was here; waiting to see whether it still is");
            }
            tokio::time::sleep(LOOK).await;
        }
        let (store, now) = (runtime.store(), runtime.clock().steady());
        store.announce(&node, self.lease, now).await.map_err(unreachable)?;
        // Two that do not fit may have come at the same time.
        if let Some((other, why)) = self.objection(pool, &node, &marks).await? {
            store.withdraw(&node.id).await.map_err(unreachable)?;
            return Err(Failure::failed(format!(
                "the node {other:?} came to the store at the same moment, and this one does not fit it: {why}"
            )));
        }
        marks.sweep(&store.nodes(now).await.map_err(unreachable)?);
        Ok(Joined { node, marks })
    }

    /// The first other node that this one does not fit, and why.
    async fn objection(
        &self,
        pool: &Pool,
        node: &Node,
        marks: &Marks,
    ) -> Result<Option<(String, &'static str)>, Failure> {
        let runtime = pool.runtime();
        let nodes = runtime.store().nodes(runtime.clock().steady()).await.map_err(unreachable)?;
        let others = nodes.into_iter().filter(|other| other.id != node.id);
        let shares = |other: &Node| marks.of(&other.id).is_some_and(|mark| mark == other.mark);
        let mut unfit = others.filter_map(|other| {
            let why = objection(self.reached.is_some(), &other, shares(&other))?;
            Some((other.id, why))
        });
        Ok(unfit.next())
    }
}

/// Why a node cannot be beside another, if it cannot.
fn objection(reached: bool, other: &Node, shares: bool) -> Option<&'static str> {
    if !reached {
        return Some(
            "more than one node needs KODE_CLUSTER_SECRET, the same on all, and a KODE_NODE_URL on each; set them, or stop the other node",
        );
    }
    if other.url.is_empty() {
        return Some(
            "that one has no KODE_NODE_URL and no KODE_CLUSTER_SECRET; stop it, and start it again with both",
        );
    }
    (!shares).then_some(
        "they do not have the same work directories: KODE_WORKSPACE must be one directory that all nodes share, as agents move between them",
    )
}

fn unreachable(error: StoreError) -> Failure {
    Failure::failed(format!("the store does not tell which nodes there are: {error}"))
}

/// A node among the others.
pub(crate) struct Joined {
    node: Node,
    marks: Marks,
}

impl Joined {
    /// Keeps it one until the pool drains.
    pub(crate) async fn keep(&self, pool: &Pool) {
        pool.keep_watch(self.node.url.clone(), self.node.mark.clone()).await;
    }

    /// Leaves no trace among the files.
    pub(crate) fn leave(&self) {
        self.marks.remove();
    }
}

/// Whether it can be a file's name as well.
fn is_name(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=ID_MAX).contains(&id.len()) && id.bytes().all(plain) && id.as_bytes()[0].is_ascii_alphanumeric()
}

/// A URL that paths can be put behind.
fn address(url: &str) -> Result<String, Failure> {
    let parsed = http::Uri::try_from(url).ok().filter(|parsed| {
        matches!(parsed.scheme_str(), Some("http" | "https"))
            && parsed.host().is_some_and(|host| !host.is_empty())
            && parsed.path_and_query().is_none_or(|path| path.as_str() == "/")
            && !url.contains('@')
    });
    let wrong = || {
        Failure::usage(format!(
            "KODE_NODE_URL is {url:?}; it is where peers reach this node, such as http://10.0.0.7:3000, without a path"
        ))
    };
    parsed.map(|_| url.trim_end_matches('/').to_owned()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(env: Env<'_>) -> Settings {
        let places = crate::args::Places { config: Some("/dev/null".into()), ..Default::default() };
        Settings::resolve(None, &places, env).unwrap()
    }

    fn resolved(pairs: &[(&str, &str)]) -> Result<Membership, Failure> {
        let env =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Membership::resolve(&settings(&env), &env)
    }

    #[test]
    fn url_and_secret_come_together_or_not_at_all() {
        let (url, secret) = (("KODE_NODE_URL", "http://10.0.0.7:3000/"), (SECRET, "sixteen letters!"));
        assert!(resolved(&[]).unwrap().cluster().is_none());
        assert!(resolved(&[url, secret]).unwrap().cluster().is_some());
        for wrong in
            [&[url][..], &[secret], &[url, (SECRET, "short")], &[("KODE_NODE_URL", "10.0.0.7:3000"), secret]]
        {
            assert!(matches!(resolved(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
        for wrong in ["", "..", "a/b", "-a", "ü", &"x".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
        assert!(is_name("kode-0.internal_1"));
    }

    #[test]
    fn a_node_joins_those_that_reach_it_and_have_its_files() {
        let there = Node { id: "a".into(), url: "http://a".into(), mark: "m".into() };
        let hidden = Node { url: String::new(), ..there.clone() };
        assert_eq!(objection(true, &there, true), None);
        for (reached, other, shares, word) in [
            (false, &there, true, "KODE_CLUSTER_SECRET"),
            (true, &hidden, true, "no KODE_NODE_URL"),
            (true, &there, false, "KODE_WORKSPACE"),
        ] {
            assert!(objection(reached, other, shares).unwrap().contains(word));
        }
    }
}
