//! Asking for a checkpoint.

/// What a checkpoint that is asked for holds itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckpointScope {
    /// As the settings say: usually what has changed since the checkpoint before.
    #[default]
    Usual,
    /// All state, in files of its own: it does not depend on those of older checkpoints, and later ones build on it.
    Full,
}
