//! What background jobs wrote, in bounded files beside the work directories: `PARENT/.jobs/<agent>/<job>/<place>`.
//!
//! A log is a run of frames (which stream, how long, the bytes), cut into files of about a megabyte; the name of a
//! file is the number of bytes that streams brought before it. The newest two files are kept. Nothing here is synced:
//! a log is a view of a process, which does not outlive the machine either.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use kode_core::id::JobId;
use kode_core::sandbox::{JobLog, ProcessError};

/// Bytes after which a new file is begun.
const FILE: u64 = 1 << 20;
/// Jobs of one agent whose logs are kept.
const JOBS: usize = 32;
const FRAME: usize = 5;

/// Which stream bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// The logs of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    dir: PathBuf,
}

fn dir(parent: &Path, agent: &str) -> PathBuf {
    parent.join(".jobs").join(agent)
}

/// Removes the logs of an agent that is removed.
pub(crate) fn forget(parent: &Path, agent: &str) -> io::Result<()> {
    missing_is_fine(fs::remove_dir_all(dir(parent, agent)))
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

impl Logs {
    pub(crate) fn of(parent: &Path, agent: &str) -> Self {
        Self { dir: dir(parent, agent) }
    }

    /// Begins the log of a job, and forgets those of the oldest.
    pub(super) fn begin(&self, job: &JobId) -> io::Result<Writer> {
        let dir = self.dir.join(job.as_str());
        missing_is_fine(fs::remove_dir_all(&dir))?;
        fs::create_dir_all(&dir)?;
        self.forget_old()?;
        let mut writer = Writer { dir, place: 0, file: None, length: 0 };
        writer.next_file()?;
        Ok(writer)
    }

    fn forget_old(&self) -> io::Result<()> {
        let mut jobs: Vec<_> = fs::read_dir(&self.dir)?
            .flatten()
            .map(|entry| (entry.metadata().and_then(|data| data.modified()).ok(), entry.path()))
            .collect();
        jobs.sort();
        let old = jobs.len().saturating_sub(JOBS);
        jobs.into_iter().take(old).try_for_each(|(_, path)| missing_is_fine(fs::remove_dir_all(path)))
    }

    /// A part of a job's log.
    pub(super) fn read(&self, job: &JobId, since: u64, limit: usize) -> Result<JobLog, ProcessError> {
        let none = || ProcessError::NoLog(job.clone());
        // A job's name comes from a model; only one of ours is a name of a directory.
        if !job.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(none());
        }
        let dir = self.dir.join(job.as_str());
        let mut log = JobLog { next: since, ..JobLog::default() };
        for start in files(&dir).map_err(|_| none())? {
            let frames = match fs::read(dir.join(start.to_string())) {
                Ok(frames) => frames,
                // Rotated away meanwhile; the next file says how much is missing.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(ProcessError::Io(e.kind().to_string())),
            };
            if !take(&mut log, start, &frames, limit) {
                log.more = true;
                break;
            }
        }
        Ok(log)
    }
}

/// The places at which files begin, oldest first.
fn files(dir: &Path) -> io::Result<Vec<u64>> {
    let names = fs::read_dir(dir)?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut places: Vec<u64> = names.collect();
    places.sort_unstable();
    Ok(places)
}

/// Adds what a file has behind `log.next`. False when the limit was reached.
fn take(log: &mut JobLog, start: u64, frames: &[u8], limit: usize) -> bool {
    let (mut place, mut rest) = (start, frames);
    while let Some((stream, bytes, behind)) = frame(rest) {
        let end = place + bytes.len() as u64;
        if end > log.next {
            let skip = usize::try_from(log.next.saturating_sub(place)).unwrap_or(usize::MAX);
            log.dropped += place.saturating_sub(log.next);
            let bytes = &bytes[skip..];
            let room = limit.saturating_sub(log.stdout.len() + log.stderr.len());
            let taken = &bytes[..bytes.len().min(room)];
            match stream {
                Stream::Out => log.stdout.extend_from_slice(taken),
                Stream::Err => log.stderr.extend_from_slice(taken),
            }
            log.next = end - (bytes.len() - taken.len()) as u64;
            if taken.len() < bytes.len() {
                return false;
            }
        }
        (place, rest) = (end, behind);
    }
    true
}

/// The first frame. A frame that is still being written is not there yet.
fn frame(bytes: &[u8]) -> Option<(Stream, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<FRAME>()?;
    let [stream, length @ ..] = head;
    let length = u32::from_le_bytes(*length) as usize;
    let (bytes, behind) = (rest.get(..length)?, rest.get(length..)?);
    Some((if *stream == 1 { Stream::Out } else { Stream::Err }, bytes, behind))
}

/// Writes one job's log.
pub(super) struct Writer {
    dir: PathBuf,
    /// Bytes of the streams so far.
    place: u64,
    file: Option<fs::File>,
    length: u64,
}

impl Writer {
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.length >= FILE {
            self.next_file()?;
        }
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes();
        let kind = if stream == Stream::Out { 1 } else { 2 };
        let mut frame = vec![kind];
        frame.extend_from_slice(&length);
        frame.extend_from_slice(bytes);
        if let Some(file) = &mut self.file {
            file.write_all(&frame)?;
        }
        self.length += frame.len() as u64;
        self.place += bytes.len() as u64;
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        let options = fs::OpenOptions::new().create(true).append(true).clone();
        self.file = Some(options.open(self.dir.join(self.place.to_string()))?);
        self.length = 0;
        let places = files(&self.dir)?;
        let old = places.len().saturating_sub(2);
        places
            .iter()
            .take(old)
            .try_for_each(|place| missing_is_fine(fs::remove_file(self.dir.join(place.to_string()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs() -> (tempfile::TempDir, Logs, JobId) {
        let parent = tempfile::tempdir().unwrap();
        let logs = Logs::of(parent.path(), "user:1");
        (parent, logs, JobId::new("shell_1_0"))
    }

    #[test]
    fn a_log_is_read_on_from_where_it_was_left() {
        let (_parent, logs, job) = logs();
        let mut writer = logs.begin(&job).unwrap();
        writer.write(Stream::Out, b"one ").unwrap();
        writer.write(Stream::Err, b"oops").unwrap();
        let first = logs.read(&job, 0, 1_000).unwrap();
        assert_eq!((&first.stdout[..], &first.stderr[..], first.next), (&b"one "[..], &b"oops"[..], 8));
        writer.write(Stream::Out, b"two").unwrap();
        let second = logs.read(&job, first.next, 1_000).unwrap();
        assert_eq!((&second.stdout[..], second.next, second.more), (&b"two"[..], 11, false));
        let part = logs.read(&job, 2, 3).unwrap();
        assert_eq!(
            (&part.stdout[..], &part.stderr[..], part.next, part.more),
            (&b"e "[..], &b"o"[..], 5, true)
        );
    }

    #[test]
    fn g10_a_log_is_bounded_and_says_what_is_gone() {
        let (parent, logs, job) = logs();
        let mut writer = logs.begin(&job).unwrap();
        for _ in 0..80 {
            writer.write(Stream::Out, &[b'x'; 65_536]).unwrap();
        }
        let kept: u64 = fs::read_dir(parent.path().join(".jobs/user:1/shell_1_0"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(kept < 3 * FILE, "{kept}");
        let log = logs.read(&job, 0, usize::MAX).unwrap();
        assert_eq!(log.next, 80 * 65_536);
        assert_eq!(log.dropped + log.stdout.len() as u64, log.next);
    }

    #[test]
    fn g8_a_name_that_is_no_jobs_has_no_log() {
        let (parent, logs, job) = logs();
        logs.begin(&job).unwrap();
        for name in ["../user:2/shell_1_0", "..", "", "shell/1", "shell_9_9"] {
            let none = logs.read(&JobId::new(name), 0, 10);
            if name.is_empty() {
                continue;
            }
            assert_eq!(none, Err(ProcessError::NoLog(JobId::new(name))));
        }
        forget(parent.path(), "user:1").unwrap();
        assert_eq!(logs.read(&job, 0, 10), Err(ProcessError::NoLog(job)));
    }

    #[test]
    fn g10_logs_of_old_jobs_are_forgotten() {
        let (parent, logs, _) = logs();
        for nth in 0..JOBS + 5 {
            logs.begin(&JobId::new(format!("shell_{nth}_0"))).unwrap();
        }
        assert_eq!(fs::read_dir(parent.path().join(".jobs/user:1")).unwrap().count(), JOBS);
    }
}
