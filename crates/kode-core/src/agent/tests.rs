//! Letters that meet the end of the mailbox.

use std::pin::pin;

use futures_util::FutureExt;

use super::*;

/// G1, G7: the writer may end between a letter's arrival and a look at it. The letter then lies there while any handle
/// lives, and whoever wrote it must hear of the end all the same.
#[test]
fn a_letter_that_nobody_will_read_is_answered_by_the_end_of_the_mailbox() {
    let (mail, mut mailbox) = mpsc::channel(1);
    let mut asked = pin!(ask(&mail, Letter::Delete));
    assert_eq!(asked.as_mut().now_or_never(), None, "an answer before anybody looked");
    mailbox.close();
    assert_eq!(asked.as_mut().now_or_never(), Some(None));
    assert_eq!(mailbox.len(), 1, "the letter lies there still");
}

/// And an end that comes right behind the answer takes nothing of it.
#[test]
fn what_was_answered_before_the_end_is_told() {
    let (mail, mut mailbox) = mpsc::channel(1);
    let mut asked = pin!(ask(&mail, Letter::Delete));
    assert_eq!(asked.as_mut().now_or_never(), None);
    let Letter::Delete(reply) = *mailbox.try_recv().unwrap() else { panic!("another letter came") };
    reply.send(Ok(())).expect("the answer is waited for");
    drop(mailbox);
    assert_eq!(asked.as_mut().now_or_never(), Some(Some(Ok(()))));
}
