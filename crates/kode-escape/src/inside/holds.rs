//! Programs that take more than they may and hold it for a while. Whoever comes to the end says so; the outside set
//! the bounds and judges.

use std::any::Any;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use rustix::fs::{CWD, MemfdFlags, Mode};

use super::ground::{call, pause};
use super::{PROGRAM, print};
use crate::attempt::{Stop, stopped};
use crate::targets::Targets;

/// What is said by whoever held too much to the end.
pub const HELD: &str = "held it";
/// For how long, in steps of `STEP`: longer than any pause between two looks.
const STEPS: u32 = 15;
const STEP: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;

/// Takes what the outside asks for, holds it, says so.
pub(super) fn run(words: &[&str]) -> ExitCode {
    if let ["secretly", rest @ ..] = words {
        // From here on its own user may not look at what it has.
        let hidden = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        return if hidden.is_ok() { run(rest) } else { ExitCode::FAILURE };
    }
    if let ["apart", rest @ ..] = words {
        return in_thread(rest, || call!(libc::SYS_close_range, 1 << 20, 1 << 21, OWN_TABLE).is_ok());
    }
    if let ["leaderless", rest @ ..] = words {
        return leaderless(rest);
    }
    let number = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let taken: Result<Box<dyn Any>, Stop> = match words.first() {
        Some(&"files") => files(".", number).map(held),
        Some(&"big") => big(number).map(held),
        Some(&"empty") => empty(number).map(held),
        Some(&"deep") => deep(number).map(held),
        Some(&"hidden") => hidden(number).map(held),
        Some(&"deleted") => deleted(number).map(held),
        Some(&"mapped") => mapped(number).map(held),
        Some(&"memory") => Ok(held(vec![1_u8; number * MIB])),
        Some(&"memfd") => memfd(number).map(held),
        Some(&"segments") => segments(number).map(held),
        Some(&"shared") => files_at("/dev/shm", number).map(held),
        Some(&"temporary") => files_at("/tmp", number).map(held),
        Some(&"descriptors") => descriptors(number).map(held),
        Some(&"processes") => processes(number).map(held),
        Some(&"pause") => return rest(),
        Some(&"stay") => {
            // By now its arguments, by which it is found, are its own.
            let _ = File::create("runs");
            return rest();
        }
        Some(&"moment") => return moment(number),
        _ => stopped("no such thing"),
    };
    let Ok(taken) = taken else { return ExitCode::FAILURE };
    (0..STEPS).for_each(|_| pause(STEP));
    print(HELD);
    drop(taken);
    ExitCode::SUCCESS
}

/// `CLOSE_RANGE_UNSHARE`.
const OWN_TABLE: libc::c_long = 2;

/// Has another thread do it, whose open files are not this one's.
fn in_thread(words: &[&str], prepare: fn() -> bool) -> ExitCode {
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| if prepare() { run(words) } else { ExitCode::FAILURE });
        taken.join().unwrap_or(ExitCode::FAILURE)
    })
}

/// The same while the first thread, by which a process is known, has ended.
fn leaderless(words: &[&str]) -> ExitCode {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    std::thread::spawn(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let is_well = run(&words) == ExitCode::SUCCESS;
        std::process::exit(i32::from(!is_well));
    });
    let _ = call!(libc::SYS_exit, 0);
    ExitCode::FAILURE
}

fn held<T: 'static>(what: T) -> Box<dyn Any> {
    Box::new(what)
}

fn rest() -> ExitCode {
    (0..600).for_each(|_| pause(STEP));
    ExitCode::SUCCESS
}

/// Over, and under again.
fn moment(mib: usize) -> ExitCode {
    if files(".", mib).is_err() {
        return ExitCode::FAILURE;
    }
    (0..mib).for_each(|nth| drop(fs::remove_file(format!("part-{nth}"))));
    print(HELD);
    ExitCode::SUCCESS
}

fn files(directory: &str, mib: usize) -> Result<(), Stop> {
    let piece = vec![7; MIB];
    (0..mib).try_for_each(|nth| fs::write(format!("{directory}/part-{nth}"), &piece))?;
    Ok(())
}

/// In a shared place, with names by which the outside finds what a killed one leaves.
fn files_at(directory: &str, mib: usize) -> Result<Vec<Gone>, Stop> {
    let server = Targets::load(Path::new("."))?.server;
    let piece = vec![7; MIB];
    let mut made = Vec::new();
    for nth in 0..mib {
        let path = format!("{directory}/kode-escape-{server}-{nth}");
        let written = File::create(&path).and_then(|mut file| file.write_all(&piece));
        made.push(Gone(path));
        written?;
    }
    Ok(made)
}

struct Gone(String);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn big(mib: usize) -> Result<(), Stop> {
    let (mut file, piece) = (File::create("big")?, vec![7; MIB]);
    (0..mib).try_for_each(|_| file.write_all(&piece))?;
    Ok(())
}

fn empty(number: usize) -> Result<(), Stop> {
    for nth in 0..number {
        if nth % 1000 == 0 {
            fs::create_dir(format!("empty-{}", nth / 1000))?;
        }
        File::create(format!("empty-{}/{nth}", nth / 1000))?;
    }
    Ok(())
}

/// Below more directories than a counter may care to go.
fn deep(mib: usize) -> Result<(), Stop> {
    for _ in 0..300 {
        fs::create_dir("d")?;
        std::env::set_current_dir("d")?;
    }
    files(".", mib)
}

/// In a directory that nobody may list.
fn hidden(mib: usize) -> Result<(), Stop> {
    fs::create_dir("hidden")?;
    rustix::fs::chmodat(CWD, "hidden", Mode::from_raw_mode(0o300), rustix::fs::AtFlags::empty())?;
    files("hidden", mib)
}

fn deleted(mib: usize) -> Result<Vec<File>, Stop> {
    let piece = vec![7; MIB];
    let mut files = Vec::new();
    for nth in 0..mib {
        let path = format!("deleted-{nth}");
        let mut file = File::options().create_new(true).read(true).write(true).open(&path)?;
        fs::remove_file(&path)?;
        file.write_all(&piece)?;
        files.push(file);
    }
    Ok(files)
}

/// Deleted and closed, held by nothing but mappings.
fn mapped(mib: usize) -> Result<(), Stop> {
    use std::os::fd::AsRawFd;
    let length = i64::try_from(MIB).unwrap_or_default();
    for file in deleted(mib)? {
        call!(libc::SYS_mmap, 0, length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)?;
    }
    Ok(())
}

fn memfd(mib: usize) -> Result<Vec<File>, Stop> {
    let piece = vec![7; MIB];
    let mut files = Vec::new();
    for _ in 0..mib {
        let mut file = File::from(rustix::fs::memfd_create("memory", MemfdFlags::CLOEXEC)?);
        file.write_all(&piece)?;
        files.push(file);
    }
    Ok(files)
}

struct Segment(i64);

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = call!(libc::SYS_shmctl, self.0, libc::IPC_RMID, 0);
    }
}

/// Written, then attached to nothing.
fn segments(mib: usize) -> Result<Vec<Segment>, Stop> {
    let mut segments = Vec::new();
    for _ in 0..mib {
        let id = call!(libc::SYS_shmget, libc::IPC_PRIVATE, i64::try_from(MIB).unwrap_or(0), 0o600)?;
        segments.push(Segment(id));
        let at = call!(libc::SYS_shmat, id, 0, 0)?;
        // Locked into memory, so that each page is there without being written.
        call!(libc::SYS_madvise, at, i64::try_from(MIB).unwrap_or(0), 23)?;
        call!(libc::SYS_shmdt, at)?;
    }
    Ok(segments)
}

fn descriptors(number: usize) -> Result<Vec<File>, Stop> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    Ok((0..number).map(|_| File::open("/dev/null")).collect::<Result<_, _>>()?)
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn processes(number: usize) -> Result<Vec<Ended>, Stop> {
    let start = |_| Command::new(PROGRAM).arg("pause").spawn().map(Ended);
    Ok((0..number).map(start).collect::<Result<_, _>>()?)
}
