//! The source and the sink against the client's broker, which runs in the process of the test.
#![expect(clippy::unwrap_used, reason = "what does not work in a test has failed it")]

mod refused;
mod sink;
mod sink_crashes;
mod source;
mod suite;
mod support;
