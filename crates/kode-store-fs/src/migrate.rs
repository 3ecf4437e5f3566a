//! Bringing a journal to the format that this version writes. Older formats are read as they are, so nothing has
//! to be migrated; a store that was can be read by one format's readers alone.

use kode_core::id::AgentId;
use kode_core::store::StoreResult;

use crate::disk::Access;
use crate::error::failed;
use crate::journal::Journal;
use crate::line::{FORMAT, Header};
use crate::stage;
use crate::store::Store;

impl Store {
    /// Writes each segment of an older format anew, with the same lines, and gives it its old name in one step;
    /// tells how many there were. With `dry` it only counts them.
    ///
    /// # Errors
    /// `Damaged` and `Incompatible`: the journal is as it was. `Unavailable` while the agent is leased.
    pub(crate) fn migrate(&self, agent: &AgentId, dry: bool) -> StoreResult<u32> {
        if self.check(agent)?.is_none_or(|report| report.format == FORMAT) {
            return Ok(0);
        }
        let Some(journal) = Journal::find(self.disk(), agent, Access::Read)? else { return Ok(0) };
        let older = || journal.segments().filter(|segment| segment.header.format < FORMAT);
        let count = u32::try_from(older().count()).unwrap_or(u32::MAX);
        if dry {
            return Ok(count);
        }
        self.alone(agent, || {
            for segment in older() {
                let header = Header { format: FORMAT, ..segment.header.clone() };
                // All of it, a torn tail too: what becomes of that is the next writer's to say.
                let lines = segment.bytes(segment.start().at, segment.end());
                let staged = lines.and_then(|lines| stage::unnamed(self.disk(), &header, &lines));
                staged.and_then(|new| new.name(self.disk())).map_err(failed("migrating a journal"))?;
            }
            Ok(count)
        })
    }
}
