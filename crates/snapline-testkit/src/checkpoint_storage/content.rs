//! Content that is easy to tell from other content.

use super::subject::pieces;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::Error;
use snapline_state::ByteStream;

/// Bytes without a period that a block size could hide; another `seed` gives other bytes everywhere.
pub(super) fn bytes(seed: u8, len: usize) -> Bytes {
    let byte = |index: usize| (index ^ (index >> 8) ^ (index >> 16)) as u8 ^ seed;
    (0..len).map(byte).collect()
}

/// Some content, then an error.
pub(super) fn failing(content: Bytes, error: Error) -> ByteStream {
    pieces([content])
        .chain(futures::stream::iter([Err(error)]))
        .boxed()
}

/// Some content, then nothing for ever. The receiver hears when the content was taken.
pub(super) fn stalling(content: Bytes) -> (ByteStream, futures::channel::oneshot::Receiver<()>) {
    let (sender, receiver) = futures::channel::oneshot::channel();
    let stall = async move {
        let _ = sender.send(());
        std::future::pending().await
    };
    (
        pieces([content]).chain(futures::stream::once(stall)).boxed(),
        receiver,
    )
}
