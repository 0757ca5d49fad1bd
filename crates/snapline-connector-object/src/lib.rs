//! Object stores as exactly-once sinks for Snapline: S3, Google Cloud Storage, Azure.
//!
//! | | |
//! |---|---|
//! | as a sink | exactly once: uploads in parts are completed when their checkpoint is, and no partial object can ever be read |
//! | needs of the store | uploads in parts; a list and a read that see what was written before |
//! | in flight at a crash | uploads of a complete checkpoint are completed at the restart, all others are aborted and their records written anew |
//!
//! [`ObjectSink`] takes a URL and the usual environment variables of the store, or a store that a program has built itself.
//!
//! | URL | feature |
//! |---|---|
//! | `s3://bucket/prefix` | `aws` |
//! | `gs://bucket/prefix` | `gcp` |
//! | `az://container/prefix` | `azure` |
//! | `memory:///` | none: for tests, and gone with the sink |
//!
//! For directories there is the sink of `snapline-connector-file`.

mod sink;

/// The stores that this crate writes to.
pub use object_store;
pub use sink::{ExistingOutput, ObjectSink, ObjectSinkPart};
pub use snapline_objects::Retries;
