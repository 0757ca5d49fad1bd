//! A process of its own, to see how much memory a large object takes.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of this is tests")]

use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use snapline_state::{CheckpointStorage, StorageKey};
use snapline_state_object::ObjectCheckpointStorage;

const MEGABYTES: u64 = 200;

/// The part that is filled, one in flight, and what the allocator keeps for each thread; far from all.
const BOUND_KB: u64 = 64 * 1024;

#[test]
fn a_large_object_is_written_and_restored_in_bounded_memory() {
    let directory = tempfile::TempDir::new().unwrap();
    let url = format!("file://{}", directory.path().display());
    let storage = block_on(ObjectCheckpointStorage::open(url)).unwrap();
    let key = StorageKey::new("job/checkpoint/a1-e1/state").unwrap();
    let before = peak_kb();

    let pieces = futures::stream::iter((0..MEGABYTES).map(|number| Ok(megabyte(number))));
    let stored = block_on(storage.put(&key, pieces.boxed())).unwrap();
    assert_eq!(stored.len, MEGABYTES << 20);

    let mut checksum = 0;
    for start in (0..MEGABYTES).step_by(4) {
        let range = start << 20..(start + 4) << 20;
        let read = block_on(storage.get(&key, Some(range))).unwrap().unwrap();
        checksum = crc32c::crc32c_append(checksum, &read);
    }
    assert_eq!(checksum, stored.checksum);
    let grown = peak_kb() - before;
    assert!(grown < BOUND_KB, "{grown} KB");
}

fn megabyte(number: u64) -> Bytes {
    Bytes::from(number.to_le_bytes().repeat(1 << 17))
}

/// The most memory that this process ever had.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}
