//! State for Snapline: where it lives and where its snapshots go.
//!
//! Two traits stand behind the words "state backend":
//!
//! * [`StateBackend`] holds the live state of keyed operators: hot, synchronous, one per subtask.
//! * [`CheckpointStorage`] holds snapshots: durable, asynchronous, five operations.
//!
//! Operators use the typed states [`ValueState`], [`ListState`], [`MapState`], [`ReducingState`],
//! [`AggregatingState`] and [`OperatorState`] and do not know which backend they run on. Backends do not know barriers: they are told to
//! [freeze](KeyedStateBackend::freeze) and hand out a [`Snapshot`] that is persisted elsewhere.
//!
//! # Writing a backend of your own
//!
//! A crate of its own needs this one, `snapline-core`, and `snapline-testkit` for its tests.
//!
//! A **storage** is five operations; `examples/custom_backend.rs` has one in a single file.
//!
//! 1. Implement [`CheckpointStorage`], `create` first: all that is ever decided is decided by it, so of racing writers
//!    exactly one may win. If your store cannot promise that between processes, say so with
//!    [`StorageCapability::single_process`].
//! 2. `snapline_testkit::checkpoint_storage_suite!(mine, || Subject::new(MyStorage::open(...)))` makes a test of
//!    each sentence of the contract. Give the subject a way to reopen the storage, and crashes are tested too.
//! 3. Give it to a job with `.checkpoint_storage(...)`.
//!
//! A **state backend** is best begun on the level of bytes; `examples/custom_state.rs` has one of sorted maps.
//!
//! 1. Implement [`ByteTable`]: get, put, delete and scan, of encoded keys and values. The typed states encode and decode.
//! 2. Implement [`KeyedStateBackend::freeze`]. What it returns must hold the state of this moment whatever is written
//!    later, and must not take longer when the state is larger: share, count epochs, or keep before-images.
//! 3. Implement [`Snapshot::persist`] with a [`BlockWriter`]: then files have checksums, savepoints move between backends,
//!    and they can be read without the program. The first snapshots may ignore the `base` of `freeze` and be full ones.
//! 4. Implement [`StateBackend::open`] with [`StateContext::restore_entries`], which reads full snapshots and deltas,
//!    checks them, matches tables by name, and leaves out what other subtasks own. Keep what is *unclaimed*.
//! 5. `snapline_testkit::state_backend_suite!(mine, || MyBackend::new())` makes a test of each sentence.
//! 6. When that holds, make it fast: live values as [`TableRef::Live`], or snapshots of what has changed
//!    ([`HandleKind::Delta`]).

mod access;
mod aggregating_state;
mod backend;
mod bytes_table;
mod chain;
mod conversion;
mod descriptor;
mod format;
mod handle;
mod list_state;
mod local_copies;
mod map_state;
mod namespaced_state;
mod operator_state;
mod pieces;
mod reducing_state;
mod schema;
mod snapshot;
mod spec;
mod storage;
mod storage_key;
mod table;
mod ttl;
mod value_state;

pub use access::TableMut;
pub use aggregating_state::{AggregateFunction, AggregatingState};
pub use backend::{KeyedStateBackend, StateBackend, StateContext, TableRef};
pub use bytes_table::{ByteAccess, ByteTable, EntryVisitor};
pub use chain::{SnapshotChain, SnapshotChains};
pub use conversion::Conversion;
pub use descriptor::StateDescriptor;
pub use format::block::restore::RestoredEntry;
pub use format::block::stored::StoredEntries;
pub use format::block::{Block, BlockReader, BlockWriter, Entry, TableMeta};
pub use format::channel_state::{ChannelOrigin, ChannelState, RecordedChannel};
pub use format::envelope::{Codec, ENVELOPE_LEN, Envelope, FileKind};
pub use handle::{Committable, HandleKind, StateHandle, StateLocation, SubtaskState};
pub use list_state::ListState;
pub use local_copies::{LocalCopies, LocalCopy};
pub use map_state::MapState;
pub use namespaced_state::NamespacedState;
pub use operator_state::OperatorState;
pub use pieces::Pieces;
pub use reducing_state::ReducingState;
pub use schema::Schema;
pub use snapshot::{BlockReceiver, BlockSender, Snapshot, SnapshotTarget, block_channel};
pub use spec::{LiveTable, TableId, TableSpec};
pub use storage::{ByteStream, CheckpointStorage, Created, StorageCapability, Stored};
pub use storage_key::StorageKey;
pub use table::{Slot, StateTable};
pub use ttl::{StateTtl, TtlRefresh, TtlTime};
pub use value_state::ValueState;
