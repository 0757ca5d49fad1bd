//! Checkpoint storage for Snapline on a local directory, safe against crashes.
