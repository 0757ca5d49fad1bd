//! The conformance suite, with room for all entries and for hardly any.

use snapline_state_file::FileStateBackend;
use std::path::{Path, PathBuf};

/// In memory where there is such a folder: scratch files are synced, which these tests need not wait for.
fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let base = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    base.join("snapline-state-backend-suite")
}

fn backend(memory_bytes: usize) -> FileStateBackend {
    FileStateBackend::builder(folder())
        .memory_bytes(memory_bytes)
        .cache_bytes(1024 * 1024)
        .build()
}

snapline_testkit::state_backend_suite!(roomy, || backend(64 * 1024 * 1024));
snapline_testkit::state_backend_suite!(narrow, || backend(128 * 1024));
