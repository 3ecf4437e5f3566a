//! What stays in memory of an agent at rest.

use kode_core::id::Cursor;
use kode_core::store::StoreError;
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;

use crate::world::World;

#[tokio::test]
async fn g4_g10_events_of_an_agent_at_rest_leave_the_memory_and_are_read_from_the_journal() {
    let world = World::new([Script::new().text("one"), Script::new().text("two")]);
    let agent = world.agent("a").await;
    let mut reader = agent.subscription(Cursor::ZERO);
    agent.complete("go").await.unwrap();
    let unread = || StoreError::Unavailable("the store cannot be read".into());

    world.faults.fail_all(Op::Read, When::Before, unread());
    let first = reader.next().await.unwrap().unwrap();
    world.clock.advance(500);
    tokio::task::yield_now().await;
    let mut late = agent.subscription(first.cursor);
    assert!(late.next_ready().await.is_ok(), "who is on the way to the events finds them in memory");

    world.clock.advance(600);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let mut later = agent.subscription(first.cursor);
    assert_eq!(later.next_ready().await, Err(unread()), "they are not in memory any more");
    world.faults.mend();

    agent.complete("go on").await.unwrap();
    let mut seen = vec![first];
    while let Some(event) = reader.next_ready().await.unwrap() {
        seen.push(event);
    }
    let mut told = Vec::new();
    let mut whole = world.runtime.told(agent.id(), Cursor::ZERO);
    while let Some(event) = whole.next_ready().await.unwrap() {
        told.push(event);
    }
    assert_eq!(seen, told, "a reader that stood still meanwhile gets each event once");
}
