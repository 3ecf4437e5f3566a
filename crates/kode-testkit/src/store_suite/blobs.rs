//! Cases: blobs are whole or not there, their agent's own, and gone with it.

use bytes::Bytes;
use kode_core::id::Seq;
use kode_core::store::{
    BLOB_MAX, BLOBS_MAX, BlobName, BlobPart, Blobs, Catalog, Journal, Leases, Store, StoreError,
};

use super::Bench;
use super::pen::{HOLDER, NOW, Pen, TTL, id};

/// A blob's name.
///
/// # Panics
/// If the text is none.
#[must_use]
pub fn name(text: &str) -> BlobName {
    BlobName::new(text).expect("cases name blobs rightly")
}

/// The whole of a blob.
async fn whole(store: &impl Store, agent: &str, blob: &str) -> Option<Bytes> {
    let read = store.read_blob(&id(agent), &name(blob), 0, usize::MAX).await.expect("blobs can be read");
    read.map(|part| {
        assert_eq!(part.len, part.bytes.len() as u64);
        part.bytes
    })
}

/// An agent with an entry, and its writer.
async fn written(store: &impl Store, agent: &str) -> Pen {
    let mut pen = Pen::take(store, &id(agent)).await;
    pen.write_steps(store, 1).await;
    pen
}

/// Byte for byte, whatever the bytes, and nothing else of the agent changes.
pub async fn a_blob_comes_back_as_it_was<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = written(&store, "a").await;
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let kept = [("bytes", every.as_slice()), ("empty", b""), ("A.b_c-9", "日本語\n\0".as_bytes())];
    for (blob, bytes) in kept {
        let bytes = Bytes::copy_from_slice(bytes);
        store.put_blob(&pen.lease, &name(blob), &bytes).await.expect("a blob can be kept");
    }
    for (blob, bytes) in kept {
        assert_eq!(whole(&store, "a", blob).await.as_deref(), Some(bytes), "{blob}");
    }
    assert_eq!(store.head(&id("a")).await, Ok(Some(pen.head)));
    assert_eq!(store.list("", None, 10).await, Ok(vec![id("a")]));
}

/// From any offset, as many bytes as asked for; beyond the end none.
pub async fn a_blob_is_read_in_parts<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = written(&store, "a").await;
    let blob = name("b");
    store.put_blob(&pen.lease, &blob, &Bytes::from_static(b"0123456789")).await.expect("a blob can be kept");
    for (offset, limit, expected) in
        [(0, 4, "0123"), (4, 4, "4567"), (8, 4, "89"), (10, 4, ""), (u64::MAX, 1, ""), (3, 0, "")]
    {
        let part = store.read_blob(&id("a"), &blob, offset, limit).await;
        assert_eq!(part, Ok(Some(BlobPart { bytes: expected.into(), len: 10 })), "{limit} from {offset}");
    }
}

/// Also a shorter one in place of a longer one.
pub async fn a_blob_is_replaced_as_a_whole<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = written(&store, "a").await;
    for bytes in ["first and long", "second", ""] {
        store.put_blob(&pen.lease, &name("b"), &bytes.into()).await.expect("a blob can be kept");
        assert_eq!(whole(&store, "a", "b").await.as_deref(), Some(bytes.as_bytes()));
    }
}

/// Neither another's blob nor another name.
pub async fn g8_a_blob_is_its_agents_own<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pens = [written(&store, "user:1").await, written(&store, "user:12").await];
    for (pen, bytes) in pens.iter().zip(["of 1", "of 12"]) {
        store.put_blob(&pen.lease, &name("b"), &bytes.into()).await.expect("a blob can be kept");
    }
    assert_eq!(whole(&store, "user:1", "b").await.as_deref(), Some(&b"of 1"[..]));
    assert_eq!(whole(&store, "user:12", "b").await.as_deref(), Some(&b"of 12"[..]));
    for (agent, blob) in [("user:1", "B"), ("user:1", "b."), ("user", "b"), ("nobody", "b")] {
        assert_eq!(whole(&store, agent, blob).await, None, "{blob} of {agent}");
    }
}

/// And of the power: it is durable when it was acknowledged.
pub async fn g1_a_blob_survives_a_power_cut<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = written(&store, "a").await;
    for (blob, bytes) in [("one", "1".repeat(5_000)), ("two", "2".repeat(100_000))] {
        store.put_blob(&pen.lease, &name(blob), &bytes.into()).await.expect("a blob can be kept");
    }
    drop(store);
    bench.power_cut().await;
    let store = bench.open().await;
    assert_eq!(whole(&store, "a", "one").await, Some("1".repeat(5_000).into()));
    assert_eq!(whole(&store, "a", "two").await, Some("2".repeat(100_000).into()));
}

/// It writes nothing, also in place of one that is there.
pub async fn g5_an_old_epoch_keeps_no_blob<B: Bench>(bench: B) {
    let store = bench.open().await;
    let old = written(&store, "a").await;
    store.put_blob(&old.lease, &name("b"), &"old".into()).await.expect("a blob can be kept");
    let new = store.acquire(&id("a"), HOLDER, TTL, NOW).await.expect("the same holder takes it again");
    let fenced = Err(StoreError::Fenced { epoch: old.epoch(), current: new.epoch });
    assert_eq!(store.put_blob(&old.lease, &name("b"), &"late".into()).await, fenced);
    assert_eq!(store.put_blob(&old.lease, &name("c"), &"late".into()).await, fenced);
    assert_eq!(whole(&store, "a", "b").await.as_deref(), Some(&b"old"[..]));
    assert_eq!(whole(&store, "a", "c").await, None);
    store.put_blob(&new, &name("b"), &"new".into()).await.expect("the new lease is in force");
    assert_eq!(whole(&store, "a", "b").await.as_deref(), Some(&b"new"[..]));
}

/// Above either it is refused, and what is there stays and can be replaced.
pub async fn g10_blobs_have_a_largest_size_and_number<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = written(&store, "a").await;
    let large = Bytes::from(vec![7; BLOB_MAX + 1]);
    let refused = store.put_blob(&pen.lease, &name("b0"), &large).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(whole(&store, "a", "b0").await, None);
    store.put_blob(&pen.lease, &name("b0"), &large.slice(1..)).await.expect("the largest can be kept");
    for number in 1..BLOBS_MAX {
        let kept = store.put_blob(&pen.lease, &name(&format!("b{number}")), &"x".into()).await;
        assert_eq!(kept, Ok(()), "{number}");
    }
    let refused = store.put_blob(&pen.lease, &name("more"), &"x".into()).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(whole(&store, "a", "more").await, None);
    store.put_blob(&pen.lease, &name("b1"), &"y".into()).await.expect("one that is there is replaced");
    assert_eq!(whole(&store, "a", "b1").await.as_deref(), Some(&b"y"[..]));
}

/// A lease alone makes no agent, and a blob does not either.
pub async fn an_agent_without_entries_keeps_no_blob<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = Pen::take(&store, &id("a")).await;
    let refused = Err(StoreError::Conflict { expected: Seq(1), actual: Seq::ZERO });
    assert_eq!(store.put_blob(&pen.lease, &name("b"), &"x".into()).await, refused);
    assert_eq!(whole(&store, "a", "b").await, None);
    assert_eq!(store.list("", None, 10).await, Ok(vec![]));
}

/// Deleted for good; a new agent of the name has none of them.
pub async fn g7_blobs_go_with_their_agent<B: Bench>(bench: B) {
    let store = bench.open().await;
    let pen = written(&store, "a").await;
    store.put_blob(&pen.lease, &name("b"), &"old".into()).await.expect("a blob can be kept");
    store.delete(pen.lease.clone()).await.expect("an agent can be deleted");
    assert_eq!(whole(&store, "a", "b").await, None);
    let late = store.put_blob(&pen.lease, &name("b"), &"late".into()).await;
    assert_eq!(late, Err(StoreError::Fenced { epoch: pen.epoch(), current: pen.epoch() }));
    written(&store, "a").await;
    assert_eq!(whole(&store, "a", "b").await, None);
}
