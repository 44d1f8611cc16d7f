//! The journal: for any bytes from a disk, reading ends in entries or in an error, and the entries are folded without a
//! panic and serialized as they were read.

#[path = "fuzz/drive.rs"]
mod drive;

use baton_core::run::{IncomingCommand, Run, RunEntry};

/// Entries as runs recorded them, one per line.
const ENTRIES: &str = include_str!("../testdata/fuzz/entries.jsonl");

#[test]
fn any_bytes_are_entries_or_refused() {
    let corpus: Vec<Vec<u8>> = ENTRIES.lines().map(|line| line.as_bytes().to_vec()).collect();
    for entry in &corpus {
        serde_json::from_slice::<RunEntry>(entry).expect("what is begun with can be read");
    }
    drive::fuzz("journal", &corpus, |bytes| {
        let _ = serde_json::from_slice::<IncomingCommand>(bytes);
        if let Ok(entry) = serde_json::from_slice::<RunEntry>(bytes) {
            let mut run = Run::new();
            run.fold(&entry);
            let _ = (run.state(), run.human_tasks(), run.pending(entry.at).count(), run.wake_at(entry.at));
            let written = serde_json::to_vec(&entry).expect("what was read can be written");
            assert_eq!(serde_json::from_slice::<RunEntry>(&written).expect("and read again"), entry);
        }
    });
}
