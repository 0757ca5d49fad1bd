//! State for Snapline: where it lives and where its snapshots go.
//!
//! Two traits stand behind the words "state backend":
//!
//! * [`StateBackend`] holds the live state of keyed operators: hot, synchronous, one per subtask.
//! * [`CheckpointStorage`] holds snapshots: durable, asynchronous, five operations.
//!
//! Operators use the typed states [`ValueState`], [`ListState`], [`MapState`], [`ReducingState`],
//! [`AggregatingState`], [`TimerState`] and [`OperatorState`] and do not know which backend they run on. Backends do not know barriers: they are told to
//! [freeze](KeyedStateBackend::freeze) and hand out a [`Snapshot`] that is persisted elsewhere.
//!
//! Both can be your own: [`plugin`] leads from an empty folder to one that passes the suite.

mod access;
mod aggregating_state;
mod backend;
mod bytes_table;
mod chain;
mod conversion;
mod descriptor;
mod format;
mod handle;
mod items_state;
mod key_migration;
mod list_state;
mod local_copies;
mod map_state;
mod namespaced_state;
mod operator_state;
mod pieces;
pub mod plugin;
mod read_files;
mod reducing_state;
mod schema;
mod snapshot;
mod spec;
mod storage;
mod storage_key;
mod table;
mod timer_state;
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
pub use format::compression::check_codec;
pub use format::envelope::{ENVELOPE_LEN, Envelope, FileKind};
pub use handle::{Committable, HandleKind, StateHandle, StateLocation, SubtaskState};
pub use key_migration::KeyMigration;
pub use list_state::ListState;
pub use local_copies::LocalCopies;
pub use map_state::MapState;
pub use namespaced_state::NamespacedState;
pub use operator_state::{OperatorState, OperatorStateKind};
pub use pieces::Pieces;
pub use read_files::{FileBlock, FilePart, read_blocks, read_blocks_of_all, read_files};
pub use reducing_state::ReducingState;
pub use schema::Schema;
pub use snapshot::{
    BlockReceiver, BlockSender, Snapshot, SnapshotTarget, block_channel, block_channel_with_room,
};
pub use spec::{LiveTable, TableId, TableSpec};
pub use storage::{ByteStream, CheckpointStorage, Created, StorageCapability, Stored};
pub use storage_key::StorageKey;
pub use table::{Slot, StateTable};
pub use timer_state::{Timer, TimerState};
pub use ttl::{CleanUp, EventClock, Living, StateTtl, TtlRefresh, TtlVisibility};
pub use value_state::ValueState;
