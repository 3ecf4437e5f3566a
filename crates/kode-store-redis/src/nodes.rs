//! Which nodes there are, by the server's clock.

use kode_core::id::Millis;
use kode_core::store::{Node, StoreResult};
use redis::cmd;

use crate::redis_store::RedisStore;
use crate::script::{ANNOUNCE, Args, NODES};

impl RedisStore {
    pub(crate) async fn announce_node(&self, node: &Node, ttl: Millis) -> StoreResult<()> {
        let args = Args::default().text(&node.id).text(&node.url).text(ttl).text(&node.mark);
        let answer = self.server.call(&ANNOUNCE, &[self.keys.nodes()], args).await?;
        if answer.word() == "announced" { Ok(()) } else { Err(answer.strange()) }
    }

    pub(crate) async fn withdraw_node(&self, id: &str) -> StoreResult<()> {
        self.server.ask(cmd("HDEL").arg(self.keys.nodes()).arg(id)).await
    }

    pub(crate) async fn all_nodes(&self) -> StoreResult<Vec<Node>> {
        let answer = self.server.call(&NODES, &[self.keys.nodes()], Args::default()).await?;
        let mut texts = answer.rest()?.into_iter().map(String::from_utf8);
        let mut nodes = Vec::new();
        while let (Some(id), Some(url), Some(mark)) = (texts.next(), texts.next(), texts.next()) {
            let (Ok(id), Ok(url), Ok(mark)) = (id, url, mark) else { return Err(answer.strange()) };
            nodes.push(Node { id, url, mark });
        }
        nodes.sort_unstable();
        Ok(nodes)
    }
}
