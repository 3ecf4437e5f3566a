//! Attempts that are judged from outside: to outlive the command, and to take more than its share. Each is a command
//! line of its own, in a work directory of its own.

use kode_core::template::SandboxSpec;

use super::place::Came;
use crate::inside::holds::HELD;

/// One of them.
pub struct Alone {
    /// Its name in the matrix.
    pub name: &'static str,
    /// What it gives to whoever succeeds.
    pub gives: &'static str,
    line: &'static str,
    judge: Judge,
    bound: fn(&mut SandboxSpec),
    /// Milliseconds until the command is to be ended.
    pub(super) timeout_ms: u64,
}

#[derive(Clone, Copy)]
enum Judge {
    /// Something with the mark is there when the command is over.
    Survives,
    /// It held what it took to the end.
    Holds,
    /// Its output is held open when it is over.
    HoldsOutput,
}

/// Stands in lines for what a survivor is found by.
const MARK: &str = "MARK";
const LATER: &str = "processes that go on when the command is over";
const MORE: &str = "more than its share, at everybody's cost";
const NO_BOUND: fn(&mut SandboxSpec) = |_| {};
const LITTLE_MEMORY: fn(&mut SandboxSpec) = |spec| spec.memory_mib = 48;
const LITTLE_DISK: fn(&mut SandboxSpec) = |spec| spec.disk_mib = 8;
/// With room for a copy of the program.
const SOME_DISK: fn(&mut SandboxSpec) = |spec| spec.disk_mib = 96;
const FEW_PROCESSES: fn(&mut SandboxSpec) = |spec| spec.processes = 32;

const fn survivor(name: &'static str, line: &'static str) -> Alone {
    Alone { name, gives: LATER, line, judge: Judge::Survives, bound: NO_BOUND, timeout_ms: 20_000 }
}

const fn holder(name: &'static str, line: &'static str, bound: fn(&mut SandboxSpec)) -> Alone {
    Alone { name, gives: MORE, line, judge: Judge::Holds, bound, timeout_ms: 20_000 }
}

/// Stands in lines for the wait until what is to survive runs under its mark.
const RUNS: &str = "RUNS";
const UNTIL_IT_RUNS: &str = "until [ -e runs ]; do sleep 0.01; done";

/// Kills what is above the shell, as far as it is the sandbox's helper, the outermost first: it would kill in turn.
const KILL_HELPERS: &str = "setsid ./escape stay MARK & RUNS; p=$PPID; while tr '\\0' ' ' < /proc/$p/cmdline | grep -q \
                            ^kode-sandbox-helper; do all=\"$p $all\"; p=$(cut -d' ' -f4 /proc/$p/stat); done; \
                            for p in $all; do kill -KILL $p; done";
const IGNORE_SIGNALS: &str = "bash -c 'trap \"\" HUP TERM INT; exec ./escape stay MARK' & RUNS";
const DARK: &str = "cp escape dark && chmod 0111 dark && exec ./dark deleted 160";
const IN_NUMBERS: &str = "for i in 1 2 3 4 5 6 7 8; do setsid ./escape stay MARK & done; RUNS";

const ATTEMPTS: &[Alone] = &[
    survivor("survive_in_background", "./escape stay MARK & RUNS"),
    survivor("survive_hangup", "nohup ./escape stay MARK > /dev/null 2>&1 & RUNS"),
    survivor("survive_in_new_session", "setsid ./escape stay MARK & RUNS"),
    survivor("survive_in_new_group", "set -m; ./escape stay MARK & disown; RUNS"),
    survivor("survive_twice_forked", "(setsid nohup ./escape stay MARK > /dev/null 2>&1 &) & RUNS"),
    survivor("survive_ignoring_signals", IGNORE_SIGNALS),
    survivor("survive_renamed", "(exec -a '[kworker/0:1]' ./escape stay MARK) & RUNS"),
    survivor("survive_stopped", "./escape stay MARK & RUNS; kill -STOP $!"),
    survivor("survive_in_numbers", IN_NUMBERS),
    Alone { timeout_ms: 800, ..survivor("survive_time_limit", "setsid ./escape stay MARK & sleep 1000") },
    survivor("survive_by_killing_the_helper", KILL_HELPERS),
    Alone { judge: Judge::HoldsOutput, ..survivor("hold_output_open", "./escape stay MARK & RUNS") },
    holder("take_memory", "./escape memory 100", LITTLE_MEMORY),
    holder("take_memory_in_files", "./escape memfd 100", LITTLE_MEMORY),
    holder("take_memory_in_segments", "./escape segments 100", LITTLE_MEMORY),
    holder("take_memory_in_shared_files", "./escape shared 100", LITTLE_MEMORY),
    holder("take_memory_in_temporary_files", "./escape temporary 100", LITTLE_MEMORY),
    holder("take_processes", "./escape processes 60", FEW_PROCESSES),
    holder("take_descriptors", "./escape descriptors 2000", NO_BOUND),
    holder("flood_output", "head -c 280000000 /dev/zero; sleep 0.5; printf 'held it'", NO_BOUND),
    holder("take_disk_with_one_file", "./escape big 40", LITTLE_DISK),
    holder("take_disk_with_many_files", "./escape files 40", LITTLE_DISK),
    holder("take_disk_with_empty_files", "./escape empty 8000", LITTLE_DISK),
    holder("take_disk_deep_below", "./escape deep 40", LITTLE_DISK),
    holder("take_disk_in_hidden_directory", "./escape hidden 40", LITTLE_DISK),
    holder("take_disk_with_deleted_files", "./escape deleted 40", LITTLE_DISK),
    holder("take_disk_with_mapped_files", "./escape mapped 40", LITTLE_DISK),
    holder("take_disk_out_of_sight", "./escape secretly deleted 40", LITTLE_DISK),
    holder("take_disk_with_an_unreadable_program", DARK, SOME_DISK),
    holder("take_disk_in_a_table_of_its_own", "./escape apart deleted 40", LITTLE_DISK),
    holder("take_disk_behind_a_dead_thread", "./escape leaderless deleted 40", LITTLE_DISK),
    holder("take_memory_behind_a_dead_thread", "./escape leaderless memory 100", LITTLE_MEMORY),
    holder("take_memory_out_of_sight", "./escape secretly memfd 100", LITTLE_MEMORY),
    holder("outgrow_quota_for_a_moment", "./escape moment 40", LITTLE_DISK),
];

/// All of them.
pub fn attempts() -> impl Iterator<Item = &'static Alone> {
    ATTEMPTS.iter()
}

impl Alone {
    pub(super) fn line(&self, mark: &str) -> String {
        self.line.replace(RUNS, UNTIL_IT_RUNS).replace(MARK, mark)
    }

    /// The level with this attempt's bounds.
    pub(super) fn spec(&self, level: &str) -> SandboxSpec {
        let mut spec = SandboxSpec { level: level.into(), ..SandboxSpec::default() };
        (self.bound)(&mut spec);
        spec
    }

    /// Whether it succeeded; `survivors` are the processes that were found by the mark.
    pub(super) fn has_succeeded(&self, came: &Came, survivors: usize) -> bool {
        match self.judge {
            Judge::Survives => survivors > 0,
            Judge::Holds => came.stdout.ends_with(HELD),
            Judge::HoldsOutput => came.held_open,
        }
    }
}
