//! The source and the sink with a real server.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod bad_input;
mod sink;
mod source;
mod stream;
mod suite;
