//! The seam to the disk: the few things that the store asks of a file system, by names within its directory.
//!
//! Two implementations: the real one below, and one in tests that forgets what was not synced. No method
//! retries, and none knows what is in a file.

use std::any::Any;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What bytes can be read from: a file, or a slice in tests.
pub(crate) trait Source: Send + Sync {
    /// How long it is now.
    fn len(&self) -> io::Result<u64>;

    /// Fills `into` from `at` on, as far as there are bytes; tells how many.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;
}

/// An open file.
pub(crate) trait DiskFile: Source {
    /// Writes all of `bytes` at `at`. After an error any part may have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file this long unless it is longer, with room on the disk for all of it.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Returns once the content and the length survive a power loss.
    fn sync(&self) -> io::Result<()>;
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It must be there.
    Read,
    /// It must be there.
    Write,
    /// It is made if need be.
    Make,
}

/// A directory with everything in it. Names are relative to it; the empty name is the directory itself.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Tells each name in a directory, in no order.
    fn each_name(&self, dir: &str, tell: &mut dyn FnMut(&str)) -> io::Result<()>;

    /// Makes a directory unless it is there.
    fn make_dir(&self, dir: &str) -> io::Result<()>;

    /// Opens a file.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file or directory another name, in one step; a file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, name: &str) -> io::Result<()>;

    /// Removes a directory with everything in it.
    fn remove_tree(&self, dir: &str) -> io::Result<()>;

    /// Returns once the names in a directory survive a power loss.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Which start of the machine this is: another text after each power loss.
    fn boot(&self) -> io::Result<String>;

    /// Takes the lock of this name until the guard is dropped or the process is dead. `WouldBlock` if another
    /// has it.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// A directory of the host.
#[derive(Debug)]
pub(crate) struct HostDisk {
    root: PathBuf,
}

impl HostDisk {
    /// The directory, which must exist.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root })
    }

    /// The directory, made if need be, so that it outlives a power loss.
    pub(crate) fn make(root: &Path) -> io::Result<Self> {
        if !root.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(root)?;
            let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Self::open(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Disk for HostDisk {
    fn each_name(&self, dir: &str, tell: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in fs::read_dir(self.path(dir))? {
            // A name that is no text is none of ours.
            if let Some(name) = entry?.file_name().to_str() {
                tell(name);
            }
        }
        Ok(())
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(self.path(dir)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read).create(access == Access::Make).mode(0o600);
        Ok(Box::new(options.open(self.path(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn remove_tree(&self, dir: &str) -> io::Result<()> {
        fs::remove_dir_all(self.path(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }

    fn boot(&self) -> io::Result<String> {
        // Where a container hides the one, the time of the start tells it as well.
        fs::read_to_string("/proc/sys/kernel/random/boot_id").or_else(|_| boot_time())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(self.path(name))?;
        // The kernel holds it with the open file, and lets go when the process ends, however it ends.
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

fn boot_time() -> io::Result<String> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find(|line| line.starts_with("btime "));
    line.map(ToOwned::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Source for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match FileExt::read_at(self, &mut into[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(some) => filled += some,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, len)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        (**self).read_at(into, at)
    }
}

#[cfg(test)]
impl Source for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(Vec::len(self) as u64)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let some = rest.len().min(into.len());
        into[..some].copy_from_slice(&rest[..some]);
        Ok(some)
    }
}

/// The whole content of a small file.
pub(crate) fn content(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}
