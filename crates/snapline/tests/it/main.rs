//! Whole jobs, through the public API.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod aligned;
mod api;
mod async_io;
mod broadcast;
mod cancel;
mod compression;
mod counting;
mod damage;
mod endings;
mod every_backend;
mod expiry;
mod failures;
mod file_state;
mod finished;
mod full_disk;
mod held;
mod incremental;
mod joins;
mod kafka;
mod loading;
mod local;
mod loops;
mod object_storage;
mod operator_state;
mod partitioners;
mod process;
mod recovery;
mod regions;
mod resume;
mod savepoints;
mod statistics;
mod storage;
mod support;
mod timers;
mod unaligned;
mod valve;
mod watched_files;
mod windows;
