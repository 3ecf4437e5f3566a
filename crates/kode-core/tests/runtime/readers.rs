//! Readers of a live agent share what it tells, and it keeps that no longer than one of them needs it.

use std::sync::{Arc, Weak};

use kode_core::event::{Envelope, Event};
use kode_core::hub::Subscription;
use kode_core::id::Cursor;
use kode_testkit::scripted_model::Script;

use crate::world::World;

/// What readers of an idle agent have taken is theirs: the agent keeps no copy. One who is behind finds it still there.
#[tokio::test]
async fn g10_an_idle_agent_keeps_no_event_that_every_reader_has_taken() {
    let world = World::new([Script::new().text("hello"), Script::new().text("again")]);
    let agent = world.agent("a").await;
    let (mut quick, mut slow) = (agent.subscription(Cursor(0)), agent.subscription(Cursor(0)));
    agent.complete("hi").await.unwrap();
    let kept = until_done(&mut quick).await;
    settle().await;
    assert!(kept.strong_count() > 0, "the slow reader has not taken it");
    let same = until_done(&mut slow).await;
    assert!(kept.ptr_eq(&same), "both readers share it");
    settle().await;
    assert_eq!(kept.strong_count(), 0, "nobody needs it any more");

    agent.complete("and again").await.unwrap();
    let kept = until_done(&mut quick).await;
    settle().await;
    assert!(kept.strong_count() > 0);
    drop(slow);
    assert_eq!(kept.strong_count(), 0, "the one who was behind has left");
}

/// Reads on until the agent rests. The last event, as long as others hold it.
async fn until_done(events: &mut Subscription) -> Weak<Envelope> {
    loop {
        let envelope = events.next().await.unwrap().unwrap();
        if matches!(envelope.event, Event::Done { at_rest: true, .. }) {
            return Arc::downgrade(&envelope);
        }
    }
}

/// Lets the driver come to rest behind its last event.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
