//! Real servers for tests, on loopback.
//!
//! A test that cannot have its server, for want of an interpreter or of the network, says so and is skipped:
//!
//! ```no_run
//! # use snapline_testkit::services::{S3, skip};
//! # fn a_test() {
//! let Ok(server) = S3::start("bucket").map_err(skip) else { return };
//! println!("{}", server.endpoint());
//! # }
//! ```

mod s3;
mod unreliable;

pub use s3::S3;
pub use unreliable::Unreliable;

/// Says on standard error why a test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
pub fn skip(reason: String) {
    let test = std::thread::current();
    eprintln!("skipped {}: {reason}", test.name().unwrap_or("a test"));
}
