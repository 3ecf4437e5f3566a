//! The lines of background jobs.

use kode_core::id::{CallId, JobId};
use kode_core::sandbox::ProcessEnd;

use super::{Command, Gone, Words, call};

/// `start CALL "line"`, or of a job: `JOB ends …`, `JOB tells TYPE {…}`.
pub(super) fn command(words: &mut Words<'_>) -> Result<Command, String> {
    if words.takes("start") {
        return Ok(Command::Job { call: call(words)?, line: words.json("the command line")? });
    }
    let job = name(words)?;
    match words.word("ends or tells")? {
        "ends" => Ok(Command::JobEnded { job, end: end(words)? }),
        "tells" => {
            let event_type = words.word("a type")?.to_owned();
            Ok(Command::JobTold { job, event_type, data: words.json("the data")? })
        }
        other => Err(format!("{other:?} is neither ends nor tells")),
    }
}

pub(super) fn name(words: &mut Words<'_>) -> Result<JobId, String> {
    words.word("a job such as shell_1_0").map(JobId::new)
}

pub(super) fn by(words: &mut Words<'_>) -> Result<String, String> {
    if words.takes("by") { words.word("a name").map(str::to_owned) } else { Ok("model".into()) }
}

/// `model`, a call, or a job by its name.
pub(super) fn gone(words: &mut Words<'_>) -> Result<Gone, String> {
    let word = words.word("model, a call or a job")?;
    Ok(match word {
        "model" => Gone::Model,
        job if job.starts_with("shell") => Gone::Job(JobId::new(job)),
        call => Gone::Tool(CallId::new(call)),
    })
}

fn end(words: &mut Words<'_>) -> Result<ProcessEnd, String> {
    Ok(match words.word("exited, signaled, timed_out, over_limit or failed")? {
        "exited" => ProcessEnd::Exited { code: words.parsed("a code")? },
        "signaled" => ProcessEnd::Signaled { signal: words.parsed("a signal")? },
        "timed_out" => ProcessEnd::TimedOut,
        "over_limit" => {
            let limit = words.named("limit")?;
            ProcessEnd::OverLimit { limit, message: words.json("how much")? }
        }
        "failed" => ProcessEnd::Failed { message: words.json("why")? },
        other => return Err(format!("{other:?} is no end of a process")),
    })
}
