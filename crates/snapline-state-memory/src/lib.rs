//! State in memory for Snapline: live tables with a constant-time freeze, and checkpoint storage for tests.

mod storage;

pub use storage::MemoryCheckpointStorage;
