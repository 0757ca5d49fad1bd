//! The connector against a real server, which is started from Debian's packages or named by `SNAPLINE_POSTGRES_URL`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod bad_input;
mod database;
mod source;
mod suite;
mod upsert;
