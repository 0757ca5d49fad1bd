//! How state looks in a file: an envelope, then blocks.

pub(crate) mod base64_bytes;
pub(crate) mod block;
pub(crate) mod channel_state;
pub(crate) mod compression;
pub(crate) mod envelope;
