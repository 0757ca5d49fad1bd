//! State on a local disk for Snapline: checkpoint storage that is safe against crashes, and live state that is larger
//! than memory.
//!
//! [`FileStateBackend`] keeps the entries that are used in memory and all of them in sorted files of a scratch folder.
//!
//! # Live state, measured
//! Sums by key, one subtask, a checkpoint each second, on two cores of a shared machine (`workload keyed-sum --state-backend
//! file --records 8000000 --keys 10000000 --state-memory-mb 32 --state-cache-mb 8` and the like, results verified). Memory
//! that is given is `memory_bytes` and `cache_bytes` together.
//!
//! | keys, how they are drawn | given | records a second | longest freeze |
//! |---|---|---|---|
//! | 1 M, uniform | 336 MB, all fit | 1,795 k | 53 us |
//! | 1 M, uniform | 25 MB | 748 k | 42 us |
//! | 10 M, uniform | 336 MB | 748 k | 48 us |
//! | 10 M, uniform | 42 MB | 619 k | 44 us |
//! | 10 M, by Zipf's law | 42 MB | 1,538 k | 43 us |
//!
//! Since then all that files take is counted in what is given, and with 42 MB 0.87 and 1.01 of this was measured, with all in
//! memory 0.90, in single interleaved runs.
//!
//! An entry of two u64 takes 87 bytes in memory and 17 on disk, so 10 M keys are 870 MB of entries, or 176 MB of files. All of the
//! process with hardly any state takes 9 to 12 MB.
//!
//! # Memory, measured
//! What memory a process takes beside what is allocated depends on its allocator, which holds back what was freed; up to 20 MiB of
//! `memory_bytes`, and a third where they are few, are left to that. The same work with 12 M records and a checkpoint each five
//! seconds; the most memory of the process at any time, of which the program takes some 10 MB, with mimalloc 3 and without huge pages:
//!
//! | keys, uniform | `memory_bytes` and `cache_bytes` | given | peak of the process | records a second |
//! |---|---|---|---|---|
//! | 10 M, 870 MB of entries | 64 and 16 MiB | 84 MB | 91 MB | 569 k |
//! | 10 M, 870 MB of entries | 32 and 8 MiB | 42 MB | 64 MB | 389 k |
//!
//! So with 84 MB, a tenth of the entries, all stays within, and with 42 MB it is exceeded by 12 MB: an allocator needs a certain amount
//! whatever the bound.
//!
//! Huge pages, where the kernel gives them unasked (`/sys/kernel/mm/transparent_hugepage/enabled` says `always`), are kept whole when
//! an allocator has given back a part: with 84 MB 158 to 170 MB were resident. A program whose memory is tight turns them off for
//! itself, by `prctl` or, for mimalloc, by `MIMALLOC_ALLOW_THP=0`.
//!
//! # What snapshots store, measured
//! 10 M keys, 107 MB in a full snapshot, of which some are changed at random before each checkpoint. Beside it what
//! storing the files would have stored that are new since the checkpoint before.
//!
//! | changed | a delta | stored for each checkpoint, with merged deltas and full snapshots | new files for each checkpoint |
//! |---|---|---|---|
//! | 1 % | 1.2 MB | 5.6 MB | 19.3 MB |
//! | 0.1 % | 0.12 MB | 0.30 MB | 6.3 MB |
//!
//! So snapshots are entries. A file that is merged is new though hardly any of its entries is.
//!
//! # Restarts, measured
//! A process that was killed with 10 M keys, 113 MB of checkpoint, starts again with 32 MiB for the state (`workload
//! recovery-process --state-mb 120`): its first record comes after 0.04 s with the files that are still on the disk, which are linked and
//! opened and not read, and after 0.36 s when the checkpoint is read and written as it comes; putting it in order and merging it
//! took 0.67 s. Its memory until then was 33 MiB and 91 MiB at the most.
//!
//! A checkpoint of 965 MB, 7.7 M entries, is read into the files of a backend with 64 and 16 MiB in 1.3 s from a directory and in 1.8 s
//! through `object_store`, with 101 and 108 MB at the most (`cargo bench -p snapline-benches --bench restore`, page cache warm).
//!
//! # Checkpoints in a directory
//! [`FileCheckpointStorage`] keeps each object in a file of its own, below one folder: the key
//! `job/epoch/1.json` is the file `job/epoch/1.json`, so checkpoints can be looked at with `ls` and `cat`.
//!
//! # How it is safe
//! An object is first written to a file in the folder `.tmp` that no reader looks at, synced, and then
//! given its name in one atomic step: a hard link for `create`, which fails when the name is taken,
//! and a rename for `put`. Then the folder of the name is synced. So each call syncs twice, whatever
//! its size, and once more for each folder that this handle uses for the first time.
//!
//! # Which directories will do
//! Any local file system with hard links. Several processes may use the directory at the same time. On a file
//! system that does not tell capital from small letters, keys that differ only in that are the same object.
//! A network file system is as safe as its hard links and syncs are.

mod backend;
mod directory;
mod failure;
mod scratch;
mod storage;
mod worker;

pub use backend::{FileStateBackend, FileStateBackendBuilder};
pub use storage::FileCheckpointStorage;
