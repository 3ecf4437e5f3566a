//! Makes the copies with a planted bug: the real files, a few lines changed.

use std::path::Path;

/// A file of another crate, and what is changed in its copy.
struct Plant {
    file: &'static str,
    copy: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

const PLANTS: [Plant; 4] = [
    // Read, then subscribe: what is told in between is seen by nobody.
    Plant {
        file: "../kode-core/src/hub.rs",
        copy: "hub.rs",
        changes: &[
            ("*self.signal.borrow_and_update();", "*self.signal.borrow();"),
            (
                "if self.signal.changed().await.is_err() {",
                "self.signal = self.feed.signal.subscribe();\n                    if self.signal.changed().await.is_err() {",
            ),
        ],
    },
    // Look, then act: the table is let go in between.
    Plant {
        file: "../kode-pool/src/slots.rs",
        copy: "pool_slots.rs",
        changes: &[(
            "table.put(id, Slot::Opening(flight.clone()));",
            "drop(table);\n                let mut table = self.lock();\n                table.put(id, Slot::Opening(flight.clone()));",
        )],
    },
    // Who waited for a slot that is out of the table works on it all the same.
    Plant {
        file: "../kode-store-fs/src/slots.rs",
        copy: "store_slots.rs",
        changes: &[("state.retired = true;", "")],
    },
    // What was added while others flushed is told to be safe with what they had.
    Plant {
        file: "../kode-store-fs/src/log/group.rs",
        copy: "log_group.rs",
        changes: &[("Ok(()) => state.durable = upto,", "Ok(()) => state.durable = state.added,")],
    },
];

fn main() {
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    for Plant { file, copy, changes } in PLANTS {
        println!("cargo::rerun-if-changed={file}");
        let mut text = std::fs::read_to_string(file).expect("the crates lie side by side");
        for (from, to) in changes {
            assert_eq!(
                text.matches(from).count(),
                1,
                "{file} changed: {from:?} must be in it once; mend {}",
                file!()
            );
            text = text.replace(from, to);
        }
        // A file that is included cannot begin with a text about itself.
        let lines = text.lines().filter(|line| !line.starts_with("//!"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        std::fs::write(Path::new(&out).join(copy), text).expect("cargo gives a directory to write to");
    }
}
