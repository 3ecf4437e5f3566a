//! The levels of enforcement, the layers that make them, and what each does not stop. Nothing here enforces.

use std::collections::BTreeSet;

use kode_core::sandbox::FileError;
use serde::{Deserialize, Serialize};

/// How much is enforced around a process, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing but limits of time and output, and the end of what is left: the process is the server's equal.
    None,
    /// A cleaned environment, no descriptors of the server's, no new privileges, limits of each process.
    Hygiene,
    /// Also: only allowed paths (Landlock), no network and few system calls (seccomp).
    Confined,
    /// Also: own namespaces with a root of its own, in which nothing of the host's can be named.
    Isolated,
    /// Also: a user id that nobody else has, and limits of memory and processes kept by the kernel.
    Metered,
}

/// One thing that the kernel is asked to enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// A cleaned environment, no new privileges, no capabilities.
    Hygiene,
    /// Limits of each process: open files, size of a file, data, and processes of the user.
    Rlimits,
    /// Landlock.
    Landlock,
    /// The filter of system calls.
    Seccomp,
    /// User, pid, mount, ipc, uts and network namespaces, and a root of its own.
    Namespaces,
    /// A cgroup that bounds memory and processes.
    Cgroup,
    /// A user id that no other agent has, and not the server's.
    OwnUid,
}

impl Layer {
    /// All of them, as they are put on.
    pub const ALL: [Self; 7] = [
        Self::Hygiene,
        Self::Rlimits,
        Self::Cgroup,
        Self::Namespaces,
        Self::OwnUid,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// Its name in reports and settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hygiene => "hygiene",
            Self::Rlimits => "rlimits",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Namespaces => "namespaces",
            Self::Cgroup => "cgroup",
            Self::OwnUid => "own_uid",
        }
    }

    /// The layer of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }
}

/// What a template may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// The least level.
    pub(crate) least: Level,
    /// Whether more is put on where it can be had.
    pub(crate) or_better: bool,
}

/// The names that a template may ask for; `strict` is `isolated` or better.
const NAMES: [&str; 6] = ["none", "hygiene", "confined", "isolated", "metered", "strict"];

impl Asked {
    /// What is asked for where nothing is said.
    pub(crate) const STRICT: Self = Self { least: Level::Isolated, or_better: true };

    /// What a setting says.
    pub(crate) fn parse(name: &str) -> Result<Self, FileError> {
        let (least, or_better) = match name {
            "none" => (Level::None, false),
            "hygiene" => (Level::Hygiene, false),
            "confined" => (Level::Confined, false),
            "isolated" | "strict" => return Ok(Self::STRICT),
            "metered" => (Level::Metered, true),
            other => {
                return Err(FileError::Io {
                    path: "sandbox.level".into(),
                    why: format!("{other:?} is not a level; use one of {}", NAMES.join(", ")),
                });
            }
        };
        Ok(Self { least, or_better })
    }

    /// The layers to put on. Those that only make a level better than asked may fail.
    pub(crate) fn layers(self) -> BTreeSet<Layer> {
        if self.or_better { Level::Metered.layers() } else { self.least.layers() }
    }
}

impl Level {
    /// From the weakest on.
    pub const ALL: [Self; 5] = [Self::None, Self::Hygiene, Self::Confined, Self::Isolated, Self::Metered];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hygiene => "hygiene",
            Self::Confined => "confined",
            Self::Isolated => "isolated",
            Self::Metered => "metered",
        }
    }

    /// The layers that it is made of.
    #[must_use]
    pub fn layers(self) -> BTreeSet<Layer> {
        let own: &[Layer] = match self {
            Self::None => &[],
            Self::Hygiene => &[Layer::Hygiene, Layer::Rlimits],
            Self::Confined => &[Layer::Landlock, Layer::Seccomp],
            Self::Isolated => &[Layer::Namespaces],
            Self::Metered => &[Layer::Cgroup, Layer::OwnUid],
        };
        let below = Self::ALL.into_iter().rev().find(|level| *level < self);
        own.iter().copied().chain(below.into_iter().flat_map(Self::layers)).collect()
    }

    /// The level that these layers make.
    #[must_use]
    pub fn of(layers: &BTreeSet<Layer>) -> Self {
        let made = |level: &Self| level.layers().is_subset(layers);
        Self::ALL.into_iter().rev().find(made).unwrap_or(Self::None)
    }

    /// What it does not stop, in words for the operator.
    #[must_use]
    pub fn gaps(self) -> Vec<String> {
        let gaps: &[&str] = match self {
            Self::None => &["processes have every right of the server: its files, its memory, its network"],
            Self::Hygiene => &[
                "processes read and write whatever the server's user may",
                "processes reach the network",
                "processes see and signal each other",
            ],
            Self::Confined => &[
                "names, sizes and modes of files anywhere can be seen, and modes and times changed where the \
                 server's user may",
                "changes of files outside can be watched, and the end of other processes",
                "a program can write .git/hooks and .envrc, which programs of the host's obey",
                "where the server is not root, what is in a directory that its owner may not list is not counted, nor \
                 what a process holds whose program its owner may not read",
                "where the server is root, files of root's that are shown keep their owner's rights: devices such as \
                 /dev/null can be shut for all",
            ],
            Self::Isolated => &[
                "a program that was built in the work directory is run",
                "a program can move .git aside and make another",
                "the work directory is counted while a command runs, so it can outgrow its quota for a moment",
                "memory of all processes together is sampled, not bounded by the kernel",
            ],
            Self::Metered => &[
                "a program that was built in the work directory is run",
                "a program can move .git aside and make another",
                "the work directory is counted while a command runs, so it can outgrow its quota for a moment",
            ],
        };
        gaps.iter().map(|gap| (*gap).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_has_the_layers_of_the_one_below() {
        for pair in Level::ALL.windows(2) {
            assert!(pair[0].layers().is_subset(&pair[1].layers()) && pair[0].layers() != pair[1].layers());
        }
        for level in Level::ALL {
            assert_eq!(Level::of(&level.layers()), level);
        }
    }

    #[test]
    fn without_a_layer_a_level_is_not_reached() {
        for layer in Layer::ALL {
            let mut layers = Level::Metered.layers();
            layers.remove(&layer);
            assert!(Level::of(&layers) < Level::Metered, "{layer:?}");
            assert_eq!(Layer::named(layer.name()), Some(layer));
        }
    }

    #[test]
    fn strict_is_isolated_or_better() {
        assert_eq!(Asked::parse("strict").unwrap(), Asked { least: Level::Isolated, or_better: true });
        assert!(Asked::parse("strikt").unwrap_err().to_string().contains("strict"));
    }
}
