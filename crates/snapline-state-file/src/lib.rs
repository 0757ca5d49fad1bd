//! State on a local disk for Snapline: checkpoint storage that is safe against crashes, and live state that is larger
//! than memory.
//!
//! [`FileStateBackend`] keeps the entries that are used in memory and all of them in sorted files of a scratch folder.
//!
//! # Live state, measured
//! Sums by key, one subtask, a checkpoint each second, on two cores of a shared machine (`workload keyed-sum --state-backend
//! file`, results verified). 3 M keys are 250 MB of entries in memory, and get 30 MB of it and 8 MB of cache. Beside it what
//! the same state took in files of lsm-tree 3, with 64 MB of cache. The machine was never quiet: processor time says more
//! than speed.
//!
//! | 4 M records | in files of lsm-tree | now |
//! |---|---|---|
//! | uniform keys, processor time | 20.4 s | 8.2 to 9.5 s |
//! | the same, records a second | 313 k | 324 k to 575 k |
//! | the same, peak memory of the process, of which about 34 MB are not state | 302 MB | 155 to 181 MB |
//! | keys by Zipf's law, processor time | | 2.8 s |
//! | longest stall of a task by a freeze | 45 us | 61 us |
//!
//! A restart links the files of the newest checkpoint that are still there and reads no entry. `workload recovery --state-mb
//! 50`, 4.2 M keys, on a machine that was busy with other things: the first record came 44 ms after a panic and 61 ms after
//! a kill, where state in memory took 193 and 245 ms in the same minute.
//!
//! Peak memory is more than was allowed: some megabytes for files that are merged, buffers of checkpoints, and what the
//! allocator has not given back yet. The live bytes of a state alone were 54 MB where 38 were allowed.
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
