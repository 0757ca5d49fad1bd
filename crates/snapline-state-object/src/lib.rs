//! Checkpoint storage for Snapline in any object store: S3, Google Cloud Storage, Azure, a directory, memory.
//!
//! [`ObjectCheckpointStorage::open`] takes a URL and the usual environment variables of the store;
//! [`ObjectCheckpointStorage::builder`] takes settings besides, and [`ObjectCheckpointStorage::over`] any
//! [`object_store::ObjectStore`] that a program has built itself.
//!
//! | URL | feature | settings |
//! |---|---|---|
//! | `s3://bucket/prefix` | `aws` | `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, ... |
//! | `gs://bucket/prefix` | `gcp` | `GOOGLE_SERVICE_ACCOUNT`, ... |
//! | `az://container/prefix` | `azure` | `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, ... |
//! | `file:///directory` | | |
//! | `memory:///` | | |
//!
//! # How it is safe
//! Whether a checkpoint exists hangs on one conditional create, and not every store that speaks the protocol of S3
//! honours it: some ignore the condition, some refuse it, some let several writers win a race. So [opening]
//! a store lets sixteen writers race for one fresh key, twice. A store where not exactly one of them wins is
//! refused, unless the program says that it is alone: [`ObjectStorageBuilder::single_writer`].
//!
//! [opening]: ObjectStorageBuilder::build
//!
//! # Servers
//! All tests run on these; `cargo xtask deep` starts the ones that take too long to install for CI.
//!
//! | server | |
//! |---|---|
//! | moto 5.2, in CI | takes any keys; the tests give it one request at a time, since its conditional creates race otherwise |
//! | Ceph's radosgw 16.2 | checks keys; exact under racing writers. Its frontend needs `tcp_nodelay=1`, else it answers each small request 40 ms late |
//! | s3s-fs 0.14 | several racing writers win: refused, and served as a single writer |
//!
//! # What it costs
//! A `put` of up to one part is one request, a longer one an upload in parts that run in parallel; a `get` is one
//! request for each part. A checkpoint is a `put` for each state file that is longer than 16 KiB, and then, one after
//! the other, a `put` of its manifest, a conditional create, and a list; the garbage collection after it, which nobody
//! waits for, takes three requests, and seven more when something can be deleted. All requests run on one thread of this storage, whatever executor the caller
//! uses. An upload that a crash cuts off stays in the bucket, invisible, until a rule of the bucket removes it: set a
//! lifecycle rule for incomplete multipart uploads.

mod builder;
#[cfg(test)]
mod double;
mod place;
mod probe;
mod read;
mod sequential;
mod storage;
mod upload;

pub use builder::ObjectStorageBuilder;
pub use snapline_objects::Retries;
pub use storage::ObjectCheckpointStorage;
