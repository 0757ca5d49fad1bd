//! How to write a storage or a state backend of your own: from an empty folder to a passing suite.
//!
//! This module has no items, it is a chapter to read. Both plugins that it builds are in `examples/plugins`, whole
//! and outside of Snapline's workspace, as yours will be: 150 lines each.
//!
//! # A storage
//!
//! **1. A package.** `cargo new --lib custom-storage`, and in its `Cargo.toml`, with paths or versions as they are for you:
//!
//! ```toml
//! [dependencies]
//! async-trait = "0.1"
//! bytes = "1"
//! crc32c = "0.6"
//! futures = { version = "0.3", default-features = false, features = ["std"] }
//! snapline-core = { path = "../../../crates/snapline-core" }
//! snapline-state = { path = "../../../crates/snapline-state" }
//!
//! [dev-dependencies]
//! snapline-testkit = { path = "../../../crates/snapline-testkit" }
//! tempfile = "3"
//! ```
//!
//! A plugin knows two crates: the words of `snapline-core` and the traits of this one. Its tests know a third.
//!
//! **2. The suite, first.** In `tests/checkpoint_storage.rs`:
//!
//! ```rust,ignore
//! use custom_storage::JournalStorage;
//! use snapline_testkit::checkpoint_storage::Subject;
//! use tempfile::tempdir;
//!
//! fn empty() -> Subject {
//!     let directory = tempdir().expect("a temporary directory");
//!     let open = move || JournalStorage::open(directory.path().join("checkpoints")).expect("a journal");
//!     Subject::new(open()).reopened_by(open)
//! }
//!
//! snapline_testkit::checkpoint_storage_suite!(journal, empty());
//! ```
//!
//! The macro makes a test of each sentence of the contract of [`CheckpointStorage`]. A storage that outlives its process is told
//! how it is opened again; then the suite also looks at what is there after a restart, and lets several handles race.
//! What your storage does not claim is skipped, and the output says so.
//!
//! **3. The five operations.** Implement [`CheckpointStorage`], and run `cargo test` after each:
//!
//! * `create` is what everything hangs on: whether a checkpoint exists, and which of two processes may go on, is
//!   decided by who creates an object first. So of racing writers exactly one is told [`Created::New`], the others
//!   get the bytes that are there, and the object is durable before anybody is told. Use what your store has for that: a
//!   conditional write, a hard link, a unique index. If it has nothing that holds between processes, say so with
//!   [`StorageCapability::single_process`], and let one process at a time open it, as the journal does with a lock.
//! * `put` takes a stream of any length. Hold a few pieces of it, not all, unless objects are limited
//!   ([`StorageCapability::limited_to`]). Nothing of an object may be seen before all of it is there; a caller who
//!   goes away in the middle leaves nothing.
//! * `get` cuts a range at the end of the object, and says `None` where there is no object.
//! * `list` is ordered by the bytes of the key.
//! * `delete` passes over what is not there.
//!
//! [`StorageKey`] has letters, digits and a few signs, no `..` and no empty parts: it is safe as a path. An
//! error's kind tells the caller what to do: `Unavailable` when the same call may succeed later, `Invalid` when the settings are
//! wrong, `Corrupted` when stored bytes are not what was written.
//!
//! **4. Use it.** `StreamExecutionEnvironment::builder().checkpoint_storage(JournalStorage::open(path)?)`.
//!
//! # A state backend
//!
//! **1. A package.** `cargo new --lib custom-state`, and in its `Cargo.toml`:
//!
//! ```toml
//! [dependencies]
//! async-trait = "0.1"
//! snapline-core = { path = "../../../crates/snapline-core" }
//! snapline-state = { path = "../../../crates/snapline-state" }
//!
//! [dev-dependencies]
//! snapline-testkit = { path = "../../../crates/snapline-testkit" }
//! ```
//!
//! **2. The suite, first.** In `tests/state_backend.rs`:
//!
//! ```rust,ignore
//! use custom_state::SortedBackend;
//!
//! snapline_testkit::state_backend_suite!(sorted, || SortedBackend);
//! ```
//!
//! **3. Tables.** Begin on the level of bytes: [`ByteTable`] is get, put, delete and scan of encoded keys and values, by key
//! group. The typed states encode, decode, and let values expire, so what users write is the same on your backend. Return it from
//! [`KeyedStateBackend::table`] as [`TableRef::Bytes`]. Half of the tests need no more than that. A store that is far away
//! answers for the keys of a whole batch together: [`ByteTable::get_many`].
//!
//! **4. Snapshots.** What [`KeyedStateBackend::freeze`] returns holds the state of this moment, whatever is written
//! later, and takes no longer when the state is larger: share what does not change (the sorted maps are in an `Arc`),
//! count epochs, or keep before-images. [`Snapshot::persist`] then runs beside the task. Let a [`BlockWriter`] write the
//! file, and [`SnapshotTarget::write_blocks`] store it: it is compressed as the job wants it and has checksums, what the snapshot holds can be shown without your code, and a savepoint can be
//! restored on any other backend. `freeze` is told a base on which the snapshot may build; the first version ignores it and
//! is always full.
//!
//! **5. Restore.** In [`StateBackend::open`], [`StateContext::restore_entries`] reads full files and deltas, checks them, finds
//! tables by name, migrates old values, leaves out what other subtasks own, and gives you entries one by one. It returns the tables
//! that the program does not want any more. Keep them, and write them into the next snapshot: the program may have been
//! started without an operator by mistake. Now `cargo test` passes.
//!
//! **6. Use it.** `StreamExecutionEnvironment::builder().state_backend(SortedBackend)`.
//!
//! **7. Make it fast,** with the suite at hand: [`KeyedStateBackend::poll_advance`] for work that is spread
//! between batches, snapshots of what has changed ([`HandleKind::Delta`], with [`SnapshotChains`] to remember what they
//! build on), or live values without encoding ([`TableRef::Live`]).
//!
//! # When it does not pass
//!
//! The name of a failed test is the sentence that does not hold. Storages that fail, are slow, tear writes or lie are in
//! `snapline_testkit::fault`: put one around a storage to see how a backend, or a whole job, takes it.
//!
//! [`BlockWriter`]: crate::BlockWriter
//! [`ByteTable`]: crate::ByteTable
//! [`ByteTable::get_many`]: crate::ByteTable::get_many
//! [`CheckpointStorage`]: crate::CheckpointStorage
//! [`Created::New`]: crate::Created::New
//! [`HandleKind::Delta`]: crate::HandleKind::Delta
//! [`KeyedStateBackend::freeze`]: crate::KeyedStateBackend::freeze
//! [`KeyedStateBackend::poll_advance`]: crate::KeyedStateBackend::poll_advance
//! [`KeyedStateBackend::table`]: crate::KeyedStateBackend::table
//! [`Snapshot::persist`]: crate::Snapshot::persist
//! [`SnapshotChains`]: crate::SnapshotChains
//! [`SnapshotTarget::write_blocks`]: crate::SnapshotTarget::write_blocks
//! [`StateBackend::open`]: crate::StateBackend::open
//! [`StateContext::restore_entries`]: crate::StateContext::restore_entries
//! [`StorageCapability::limited_to`]: crate::StorageCapability::limited_to
//! [`StorageCapability::single_process`]: crate::StorageCapability::single_process
//! [`StorageKey`]: crate::StorageKey
//! [`TableRef::Bytes`]: crate::TableRef::Bytes
//! [`TableRef::Live`]: crate::TableRef::Live
