//! Journals and their names reach the disk by themselves, so that the log can let go of them.
//!
//! When that is done, and by whom, is not decided here: see [`crate::retire`].

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use kode_core::id::AgentId;

use crate::commit::Trust;
use crate::disk::{Access, content};
use crate::error::found;
use crate::journal::open_files;
use crate::store::Store;

impl Store {
    /// Whether [`Store::retire`] has something to do.
    pub(crate) fn wants_retiring(&self) -> bool {
        self.tools.commit.wants_retiring()
    }

    /// Puts journals on the disk that only the log has there, so that the log's older files go; ends early when told to
    /// stop.
    pub(crate) fn retire(&self, stop: &AtomicBool) {
        let settle = |agent: &AgentId, trust| match stop.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => self.settle(agent, trust),
        };
        match self.tools.commit.retire(&settle) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                tracing::warn!(%error, "the node log keeps its older files: a journal could not be put on the disk");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn settle(&self, agent: &AgentId, trust: Trust) -> io::Result<()> {
        let settle = || {
            let files = found(open_files(self.disk(), agent, Access::Write))?;
            let Some((_, last)) = files.and_then(|mut files| files.pop()) else { return Ok(()) };
            if trust == Trust::Failed {
                // The kernel may hold it as clean; written once more, it is not.
                last.write_at(&content(&*last)?, 0)?;
            }
            last.sync()?;
            found(self.disk().sync_dir(agent.as_str())).map(drop)
        };
        match trust {
            Trust::Clean => settle(),
            // Nobody is to cut or append what is written once more.
            Trust::Failed => {
                let mut done = Ok(());
                let entered = self.slots.enter(agent, |_| {
                    done = settle();
                    Ok(())
                });
                entered.map_err(io::Error::other).and(done)
            }
        }
    }
}
