//! The life of an agent's task: one driver after another, as long as the store may come back.
//!
//! A failed append ends a driver, not the agent: work that is under way is taken up again, under a new
//! epoch, once the store answers.

use tokio::sync::mpsc;

use crate::agent::{Cell, SendError};
use crate::driver::{Driver, Exit, Letter};
use crate::follow::follow;
use crate::id::Millis;
use crate::opening::{Opening, load};
use crate::store::StoreError;

/// The first wait before a store that refused is tried again; doubled up to the last.
const FIRST_WAIT: Millis = 250;
const LAST_WAIT: Millis = 15_000;

/// Drives the agent until it is put away, deleted, or cannot be driven any more.
pub(crate) async fn supervise(opening: Opening, first: Box<Driver>, mut mail: mpsc::Receiver<Box<Letter>>) {
    {
        // Also where a panic ends it: readers that wait for the end must not wait for ever.
        let _ended = Ending(&opening.cell);
        drive(&opening, first, &mut mail).await;
    }
    // Whoever still reads it here goes on with what others write.
    opening.cell.feed.detach();
    follow(&opening.shared, &opening.cell.id, &opening.cell.feed);
}

/// Tells that nobody drives the agent any more, once it is dropped.
struct Ending<'c>(&'c Cell);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn drive(opening: &Opening, first: Box<Driver>, mail: &mut mpsc::Receiver<Box<Letter>>) {
    let mut driver = first;
    loop {
        match driver.run(mail).await {
            Exit::PutAway | Exit::Deleted | Exit::LetGo => return,
            Exit::EpochFull => {}
            Exit::Lost(error) => {
                tracing::warn!(agent = %opening.cell.id, %error, "the store refused an append");
                if !error.may_pass() || opening.cell.view().at_rest {
                    return;
                }
            }
        }
        // Boxed, as what is rare would make the task of every agent larger for good.
        match Box::pin(next_driver(opening, mail)).await {
            Some(next) => driver = next,
            None => return,
        }
    }
}

/// Tries until there is a driver again; what is sent meanwhile is refused at once. `None` when trying is of
/// no use.
async fn next_driver(opening: &Opening, mail: &mut mpsc::Receiver<Box<Letter>>) -> Option<Box<Driver>> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match reopen(opening).await {
            Ok(driver) => return Some(driver),
            Err(error) => error,
        };
        if let StoreError::Held { holder, .. } = &error {
            // It goes on there; a request for it finds the way, and whoever watches over that node takes it next.
            tracing::info!(agent = %opening.cell.id, holder, "another node has taken the agent");
            return None;
        }
        if !error.may_pass() {
            tracing::error!(agent = %opening.cell.id, %error, "the agent cannot be taken up again");
            return None;
        }
        let clock = &opening.shared.clock;
        let until = clock.now() + wait;
        wait = (wait * 2).min(LAST_WAIT);
        loop {
            tokio::select! {
                biased;
                () = clock.until(until) => break,
                letter = mail.recv() => match letter {
                    Some(letter) => refuse(*letter, &error),
                    None => clock.until(until).await,
                },
            }
        }
    }
}

async fn reopen(opening: &Opening) -> Result<Box<Driver>, StoreError> {
    let loaded = load(&*opening.shared.store, &opening.cell.id).await?;
    let view = opening.cell.view();
    // Another agent under the same name, or none: this one was deleted meanwhile and must not come back.
    if (&loaded.0.template, loaded.0.created_at) != (&view.template, view.created_at) {
        return Err(StoreError::Fenced { epoch: view.cursor.epoch(), current: loaded.0.epoch });
    }
    opening.driver(loaded, None).await
}

fn refuse(letter: Letter, error: &StoreError) {
    match letter {
        Letter::Input(_, reply) => drop(reply.send(Err(SendError::Store(error.clone())))),
        Letter::PutAway { reply, .. } => drop(reply.send(false)),
        Letter::Delete(reply) => drop(reply.send(Err(SendError::Store(error.clone())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each agent in memory: what is rare is boxed where it is called.
    #[test]
    fn the_task_of_an_agent_is_small() {
        fn size<F>(_: fn(Opening, Box<Driver>, mpsc::Receiver<Box<Letter>>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(supervise) <= 1 << 9, "{} bytes", size(supervise));
    }
}
