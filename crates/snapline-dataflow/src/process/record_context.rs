//! What a function without keys is told with each record.

use crate::state::{BroadcastMaps, BroadcastState, Lists, OperatorLists, OperatorStateContext};
use snapline_core::{Clock, Data, Key, Result, Timestamp, Watermark};
use std::collections::BTreeMap;
use std::fmt;

/// The record at hand of a stream without keys: its time, and the way to the operator state.
pub struct RecordContext<'a> {
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) watermark: Watermark,
    pub(crate) lists: &'a mut OperatorLists,
    pub(crate) broadcast: &'a BroadcastMaps,
}

impl<'a> RecordContext<'a> {
    /// The event time of the record, if it has one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The time of now. After a failure records may be processed again at another time.
    pub fn processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far event time has come: no record with this timestamp or an earlier one is waited for.
    /// [`Watermark::MIN`] before the first watermark, also after a failure.
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// A map that broadcast records have made, to look at.
    ///
    /// # Errors
    /// `Invalid` when the state was not registered.
    #[inline]
    pub fn broadcast_state<BK: Key + Ord, BV: Data>(
        &self,
        state: &BroadcastState<BK, BV>,
    ) -> Result<&'a BTreeMap<BK, BV>> {
        self.broadcast.map(state)
    }
}

impl OperatorStateContext for RecordContext<'_> {}

impl Lists for RecordContext<'_> {
    fn lists(&mut self) -> &mut OperatorLists {
        self.lists
    }
}

impl fmt::Debug for RecordContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordContext")
            .field("timestamp", &self.timestamp)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

/// The moment before a snapshot, in which a function without keys writes into its operator state what it keeps in fields.
pub struct SnapshotContext<'a> {
    pub(crate) lists: &'a mut OperatorLists,
}

impl OperatorStateContext for SnapshotContext<'_> {}

impl Lists for SnapshotContext<'_> {
    fn lists(&mut self) -> &mut OperatorLists {
        self.lists
    }
}

impl fmt::Debug for SnapshotContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotContext")
    }
}
