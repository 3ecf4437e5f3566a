//! Power cuts of a real file system: an ext4 on a loop device, cut off from it by the shutdown ioctl in mid-write.
//!
//! What the file system had not written by then is lost, as with the power; the next mount replays its journal.
//! It needs root, loop devices and a mount namespace, in which this test runs once more, so that nothing stays
//! mounted whatever becomes of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use kode_testkit::rounds::{rounds, skipped};
use kode_testkit::store_suite::run;

use super::Dice;
use super::killed::quick_dir;
use super::load::{Book, Death, agents};
use super::process::{AGENTS, Life, again, is_the_writer, outlive, start};
use crate::{FsStore, layout};

/// Where the part of the test that may mount finds its directory.
const INSIDE: &str = "KODE_TEST_EXT4";
/// `EXT4_IOC_SHUTDOWN` without a flush of the log. There is no safe way to it from Rust, and perl is on every
/// Debian.
const SHUTDOWN: &str = r#"my $how = pack("I", 2); open(my $fs, "<", $ARGV[0]) or die $!; <STDIN>; ioctl($fs, 0x8004587d, $how) or die $!"#;

/// An ext4 in a file, mounted.
struct Ext4 {
    image: PathBuf,
    mount: PathBuf,
}

fn command(program: &str, args: &[&str], paths: &[&Path]) -> std::io::Result<Output> {
    Command::new(program).args(args).args(paths).output()
}

fn must(program: &str, args: &[&str], paths: &[&Path]) {
    let output = command(program, args, paths).unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Ext4 {
    fn make(dir: &Path) -> Self {
        let made = Self { image: dir.join("image"), mount: dir.join("mount") };
        std::fs::create_dir(&made.mount).unwrap();
        let image = std::fs::File::create(&made.image).unwrap();
        image.set_len(48 << 20).unwrap();
        must("mkfs.ext4", &["-q", "-F"], &[&made.image]);
        made.mount();
        made
    }

    fn mount(&self) {
        must("mount", &["-o", "loop"], &[&self.image, &self.mount]);
    }

    /// A hand at the switch.
    fn switch(&self) -> Switch {
        let mut hand = Command::new("perl");
        hand.args(["-e", SHUTDOWN]).arg(&self.mount).stdin(Stdio::piped());
        Switch(Mutex::new(hand.spawn().expect("perl was there")))
    }

    fn come_back(&self) {
        must("umount", &[], &[&self.mount]);
        self.mount();
    }
}

/// Cuts an ext4 off when it is told to.
struct Switch(Mutex<Child>);

impl Switch {
    /// From here on nothing reaches the device any more, and every write is refused.
    fn cut(&self) {
        let mut hand = self.0.lock().unwrap();
        // It waits for its input to end.
        drop(hand.stdin.take());
        assert!(hand.wait().unwrap().success(), "the file system was not cut off");
    }
}

/// Cuts the power so many times while a writer writes; the first thing that was lost though it was synced.
async fn cut_again_and_again(
    test: &str,
    dir: &Path,
    life: Life,
    cuts: u64,
    book: &mut Book,
) -> Result<(), String> {
    let (disk, mut dice) = (Ext4::make(dir), Dice::new(3));
    let store = disk.mount.join("store");
    for number in 0..cuts {
        book.begin(number);
        let switch = disk.switch();
        let cut = |writer: &mut Child| {
            switch.cut();
            // It sees its writes refused and ends, or it is just not writing.
            writer.kill().expect("the writer is this test's own");
        };
        outlive(start(test, &store, number, life), book, 1 + dice.roll(30), cut);
        disk.come_back();
        // The machine only seems to have gone down.
        let _ = std::fs::remove_file(store.join(layout::BOOT));
        book.check(&FsStore::open(&store).map_err(|error| error.to_string())?).await?;
    }
    Ok(())
}

/// Why this machine has no ext4 to cut off, if it has none.
fn lacking() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let may_mount = u64::from_str_radix(effective.trim(), 16).is_ok_and(|set| set >> 21 & 1 == 1);
    let known = std::fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.contains("\text4\n"));
    let has =
        |program: &str, args: &[&str]| command(program, args, &[]).is_ok_and(|tried| tried.status.success());
    [
        (may_mount, "only root may mount"),
        (known, "the kernel has no ext4"),
        (Path::new("/dev/loop-control").exists(), "there are no loop devices"),
        (has("mkfs.ext4", &["-V"]), "mkfs.ext4 is not installed"),
        (has("perl", &["-e", "1"]), "perl is not installed"),
        (has("unshare", &["--mount", "true"]), "there are no mount namespaces"),
    ]
    .into_iter()
    .find_map(|(there, lack)| (!there).then(|| lack.to_owned()))
}

/// Runs the test once more where it may mount; whether this process is the one that does.
fn is_inside(test: &str) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return Some(dir.into());
    }
    if let Some(lack) = lacking() {
        skipped("power cuts of an ext4", &lack);
        return None;
    }
    let (dir, own) = (quick_dir(), std::env::current_exe().unwrap());
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private"]).arg(&own).args(again(test, &own).get_args());
    let status = inside.env(INSIDE, dir.path()).status().unwrap();
    assert!(status.success(), "the part that mounts failed: {status}");
    None
}

const SYNCED: &str = "tests::ext4::g1_g7_what_is_synced_survives_power_cuts_of_an_ext4";
const UNSYNCED: &str = "tests::ext4::a_store_that_does_not_sync_is_found_out_on_an_ext4";

#[test]
fn g1_g7_what_is_synced_survives_power_cuts_of_an_ext4() {
    run(async {
        if is_the_writer().await {
            return;
        }
        let Some(dir) = is_inside(SYNCED) else { return };
        let cuts = rounds("power cuts of an ext4", 500, 5_000);
        let mut book = Book::new(Death::Power, &agents(AGENTS));
        cut_again_and_again(SYNCED, &dir, Life::UnderLoad, cuts, &mut book).await.unwrap();
        println!("{cuts} power cuts: {}", book.told());
        assert!(book.acknowledged >= cuts, "a life without an acknowledged entry: {}", book.told());
    });
}

#[test]
fn a_store_that_does_not_sync_is_found_out_on_an_ext4() {
    run(async {
        if is_the_writer().await {
            return;
        }
        let Some(dir) = is_inside(UNSYNCED) else { return };
        let mut book = Book::new(Death::Power, &agents(AGENTS));
        let lost = cut_again_and_again(UNSYNCED, &dir, Life::Unsynced, 20, &mut book).await;
        assert!(lost.is_err(), "20 power cuts took nothing from a store that does not sync");
    });
}
