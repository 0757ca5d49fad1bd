//! What of a source is in the operator state of a reader.

use snapline_connector::{DiscoveryOutlook, SeenSplits, SourceSplit};
use snapline_core::{Result, decode, encode_into};
use snapline_state::OperatorState;

/// The list of the splits of a reader.
const SPLITS: &str = "splits";
/// The list that tells a reader without splits from one that never was.
const OPENED: &str = "opened";
/// The list that has, in the state of the first reader, what was ever found.
const SEEN: &str = "seen";
/// The list that tells a reader of a source that will not grow any more from one of a source that may.
const COMPLETE: &str = "complete";

/// What a reader begins with, what it is given later, or what it has left.
#[derive(Debug)]
pub(super) struct ReaderState<S> {
    /// What is to be read.
    pub(super) splits: Vec<S>,
    /// What was ever found of the source: one reader keeps it for all.
    pub(super) seen: Option<EncodedSeen>,
    /// Whether a source that grows may have more.
    pub(super) outlook: DiscoveryOutlook,
}

/// [`SeenSplits`] as they are stored. A task does not look into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncodedSeen(Vec<u8>);

impl EncodedSeen {
    pub(super) fn of(seen: &SeenSplits) -> Result<Self> {
        let mut encoded = Vec::new();
        encode_into(seen, &mut encoded)?;
        Ok(Self(encoded))
    }

    pub(super) fn decode(&self) -> Result<SeenSplits> {
        decode(&self.0)
    }
}

impl<S: SourceSplit> ReaderState<S> {
    /// Finds it in a state.
    ///
    /// # Errors
    /// `Invalid` when the splits are of another type.
    pub(super) fn of(state: &OperatorState) -> Result<Self> {
        let is_complete = !state.items::<()>(COMPLETE)?.is_empty();
        Ok(Self {
            splits: state.items(SPLITS)?,
            seen: state.items(SEEN)?.pop().map(EncodedSeen),
            outlook: match is_complete {
                true => DiscoveryOutlook::Complete,
                false => DiscoveryOutlook::MoreMayCome,
            },
        })
    }

    /// The state that has it.
    ///
    /// # Errors
    /// `Invalid` when a split cannot be encoded.
    pub(super) fn to_state(&self) -> Result<OperatorState> {
        let mut state = OperatorState::new();
        state.push(OPENED, &())?;
        self.splits
            .iter()
            .try_for_each(|split| state.push(SPLITS, split))?;
        if let Some(EncodedSeen(seen)) = &self.seen {
            state.push(SEEN, seen)?;
        }
        if self.outlook == DiscoveryOutlook::Complete {
            state.push(COMPLETE, &())?;
        }
        Ok(state)
    }
}
