//! What a table is doing.

/// What the segments of a table have to know of it when an entry changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Phase {
    /// The number of the newest freeze; the first is 1.
    pub(super) generation: u64,
    /// Whether entries of that freeze are still to be written.
    pub(super) is_frozen: bool,
    /// Whether only entries that have changed since `base` are.
    pub(super) only_changes: bool,
    /// The newest freeze that a snapshot builds on.
    pub(super) base: u64,
    /// Whether changes are noted.
    pub(super) tracks: bool,
}
