//! The backend does what operators rely on.

snapline_testkit::state_backend_suite!(memory, snapline_state_memory::MemoryStateBackend::new);
