//! State in memory for Snapline: live tables with a constant-time freeze, and checkpoint storage for tests.

mod backend;
mod storage;

pub use backend::MemoryStateBackend;
pub use storage::MemoryCheckpointStorage;
