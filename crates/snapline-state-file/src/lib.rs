//! State on a local disk for Snapline: checkpoint storage that is safe against crashes, and live state that is larger
//! than memory.
//!
//! [`FileStateBackend`] keeps the entries that are used in memory and all of them in sorted files of a scratch folder.
//!
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
