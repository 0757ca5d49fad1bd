//! Whole jobs, through the public API.

mod api;
mod cancel;
mod recovery;
mod resume;
mod storage;
mod support;
