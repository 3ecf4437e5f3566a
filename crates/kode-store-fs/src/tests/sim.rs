//! A disk in memory that forgets what was not synced, fails when told to, and can be full.
//!
//! Like the real ones: a write is in the cache by sectors; a sync puts the sectors written since the last one
//! on the disk, and after a failed sync they count as clean although they are not there; a name is on the
//! disk once its directory was synced.

mod nodes;

use std::any::Any;
use std::io;
use std::sync::{Arc, Mutex};

use self::nodes::{DirNode, FileNode};
use super::Dice;
use crate::disk::{Access, Disk, DiskFile, Source};

enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// What goes wrong.
#[derive(Default)]
struct Trouble {
    /// How many more operations work before the machine is dead.
    lifetime: Option<usize>,
    /// The next sync of a file fails.
    sync_fails: bool,
    /// Bytes that all files may have together.
    capacity: Option<usize>,
    /// Syncs of directories are forgotten.
    forgets_names: bool,
    /// After this many more changes, or reads, one goes wrong.
    fault: Option<(usize, Fault)>,
}

/// How one operation goes wrong. The machine lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A change is not done; a sync loses what it was to keep.
    Change,
    /// The same, and a write has done half of its work.
    Short,
    /// A read gives nothing.
    Read,
}

struct World {
    nodes: Vec<Node>,
    locked: Arc<()>,
    trouble: Trouble,
    operations: usize,
    written: usize,
    read: usize,
    /// How often the power was gone.
    boots: usize,
}

/// The disk. Clones are the same one.
#[derive(Clone)]
pub(super) struct SimDisk(Arc<Mutex<World>>);

fn none<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl World {
    fn dir(&mut self, node: usize) -> io::Result<&mut DirNode> {
        match &mut self.nodes[node] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, node: usize) -> &mut FileNode {
        match &mut self.nodes[node] {
            Node::File(file) => file,
            Node::Dir(_) => panic!("a directory was opened as a file"),
        }
    }

    fn find(&mut self, path: &str) -> io::Result<usize> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(0, |node, part| self.dir(node)?.cached.get(part).copied().map_or_else(none, Ok))
    }

    /// The directory that has a path, and the path's last name.
    fn parent<'p>(&mut self, path: &'p str) -> io::Result<(usize, &'p str)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(dir)?, name))
    }

    fn make(&mut self, path: &str, node: Node) -> io::Result<usize> {
        let (parent, name) = self.parent(path)?;
        let made = self.nodes.len();
        self.nodes.push(node);
        self.dir(parent)?.cached.insert(name.to_owned(), made);
        Ok(made)
    }

    fn unlink(&mut self, path: &str) -> io::Result<usize> {
        let (parent, name) = self.parent(path)?;
        self.dir(parent)?.cached.remove(name).map_or_else(none, Ok)
    }

    fn used(&mut self, node: usize) -> usize {
        match &self.nodes[node] {
            Node::File(file) => file.cached.len(),
            Node::Dir(dir) => {
                let children: Vec<_> = dir.cached.values().copied().collect();
                children.into_iter().map(|child| self.used(child)).sum()
            }
        }
    }

    /// Whether this operation is the one that goes wrong. A read is not counted among the changes.
    fn goes_wrong(&mut self, reads: bool) -> bool {
        match &mut self.trouble.fault {
            Some((left, fault)) if (*fault == Fault::Read) == reads => match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    self.trouble.fault = None;
                    return true;
                }
            },
            Some(_) | None => {}
        }
        false
    }

    /// How many of `wanted` more bytes there is room for.
    fn room(&mut self, wanted: usize) -> usize {
        let Some(capacity) = self.trouble.capacity else { return wanted };
        wanted.min(capacity.saturating_sub(self.used(0)))
    }
}

impl SimDisk {
    pub(super) fn new() -> Self {
        let nodes = vec![Node::Dir(DirNode::default())];
        let world = World {
            nodes,
            locked: Arc::default(),
            trouble: Trouble::default(),
            operations: 0,
            written: 0,
            read: 0,
            boots: 0,
        };
        Self(Arc::new(Mutex::new(world)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// One operation that changes something; fails once the machine is dead.
    fn change<T>(&self, work: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        self.with(|world| {
            world.operations += 1;
            match &mut world.trouble.lifetime {
                Some(0) => return Err(io::Error::other("the machine is dead")),
                Some(left) => *left -= 1,
                None => {}
            }
            if world.goes_wrong(false) {
                return Err(io::Error::other("an operation failed"));
            }
            work(world)
        })
    }

    /// How many operations changed something so far.
    pub(super) fn operations(&self) -> usize {
        self.with(|world| world.operations)
    }

    /// How many bytes were read so far.
    pub(super) fn read(&self) -> usize {
        self.with(|world| world.read)
    }

    /// How many bytes were written so far.
    pub(super) fn written(&self) -> usize {
        self.with(|world| world.written)
    }

    pub(super) fn die_after(&self, operations: usize) {
        self.with(|world| world.trouble.lifetime = Some(operations));
    }

    /// One operation goes wrong, after this many.
    pub(super) fn fail_after(&self, operations: usize, fault: Fault) {
        self.with(|world| world.trouble.fault = Some((operations, fault)));
    }

    /// Whether no operation has gone wrong yet that was to.
    pub(super) fn is_to_fail(&self) -> bool {
        self.with(|world| world.trouble.fault.is_some())
    }

    pub(super) fn fail_next_sync(&self) {
        self.with(|world| world.trouble.sync_fails = true);
    }

    pub(super) fn forget_names(&self) {
        self.with(|world| world.trouble.forgets_names = true);
    }

    /// Leaves this many bytes free.
    pub(super) fn fill_up(&self, free: usize) {
        self.with(|world| world.trouble.capacity = Some(world.used(0) + free));
    }

    /// The process is dead, the machine is not.
    pub(super) fn revive(&self) {
        self.with(|world| (world.trouble, world.locked) = (Trouble::default(), Arc::default()));
    }

    /// The power was gone: what was not synced is there in part or not at all.
    pub(super) fn lose_power(&self, dice: &mut Dice) {
        self.revive();
        self.with(|world| {
            world.boots += 1;
            for node in &mut world.nodes {
                match node {
                    Node::File(file) => file.lose_power(dice),
                    Node::Dir(dir) => dir.lose_power(dice),
                }
            }
        });
    }
}

impl Disk for SimDisk {
    fn each_name(&self, dir: &str, tell: &mut dyn FnMut(&str)) -> io::Result<()> {
        let names = self.with(|world| {
            let node = world.find(dir)?;
            Ok::<Vec<String>, io::Error>(world.dir(node)?.cached.keys().cloned().collect())
        })?;
        names.iter().for_each(|name| tell(name));
        Ok(())
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.change(|world| match world.find(dir) {
            Ok(_) => Ok(()),
            Err(_) => world.make(dir, Node::Dir(DirNode::default())).map(drop),
        })
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let found = self.with(|world| world.find(name));
        let node = match found {
            Err(_) if access == Access::Make => {
                self.change(|world| world.make(name, Node::File(FileNode::default())))?
            }
            found => found?,
        };
        Ok(Box::new(SimFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|world| {
            let node = world.unlink(from)?;
            let (parent, name) = world.parent(to)?;
            world.dir(parent)?.cached.insert(name.to_owned(), node);
            Ok(())
        })
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.change(|world| world.unlink(name).map(drop))
    }

    fn remove_tree(&self, dir: &str) -> io::Result<()> {
        self.remove_file(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.change(|world| {
            let node = world.find(dir)?;
            if !world.trouble.forgets_names {
                let dir = world.dir(node)?;
                dir.durable = dir.cached.clone();
            }
            Ok(())
        })
    }

    fn boot(&self) -> io::Result<String> {
        Ok(self.with(|world| world.boots).to_string())
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.with(|world| match Arc::strong_count(&world.locked) {
            1 => Ok(Box::new(world.locked.clone()) as Box<dyn Any + Send + Sync>),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        })
    }
}

struct SimFile {
    disk: SimDisk,
    node: usize,
}

impl Source for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.with(|world| world.file(self.node).cached.len()) as u64)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.with(|world| match world.goes_wrong(true) {
            true => Err(io::Error::other("a read failed")),
            false => {
                let read = world.file(self.node).cached.read_at(into, at)?;
                world.read += read;
                Ok(read)
            }
        })
    }
}

impl DiskFile for SimFile {
    /// On a full disk what there is room for is written, as the kernel does it.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let at = at as usize;
        let half = self.disk.with(|world| matches!(world.trouble.fault, Some((0, Fault::Short))));
        if half {
            self.disk.with(|world| world.file(self.node).write(&bytes[..bytes.len() / 2], at));
        }
        self.disk.change(|world| {
            let grows = (at + bytes.len()).saturating_sub(world.file(self.node).cached.len());
            let fits = bytes.len() - (grows - world.room(grows));
            world.file(self.node).write(&bytes[..fits], at);
            world.written += fits;
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change(|world| {
            world.file(self.node).set_len(len as usize);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.change(|world| {
            let grows = (len as usize).saturating_sub(world.file(self.node).cached.len());
            if world.room(grows) < grows {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if grows > 0 {
                world.file(self.node).set_len(len as usize);
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.with(|world| matches!(world.trouble.fault, Some((0, Fault::Change | Fault::Short)))) {
            self.disk.with(|world| world.file(self.node).dirty.clear());
        }
        self.disk.change(|world| {
            let fails = std::mem::take(&mut world.trouble.sync_fails);
            let file = world.file(self.node);
            if fails {
                file.dirty.clear();
                return Err(io::Error::other("the sync failed"));
            }
            file.sync();
            Ok(())
        })
    }
}
