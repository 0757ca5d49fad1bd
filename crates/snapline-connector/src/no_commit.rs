//! The half of a sink that a sink without committables does not need.

use crate::sink::Committer;
use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, ready};
use snapline_core::Result;

/// The committer of a sink that writes at once: there is never anything to commit.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCommitter;

#[async_trait]
impl<C: Send + 'static> Committer<C> for NoCommitter {
    async fn commit(&mut self, _: Vec<C>) -> Result<()> {
        Ok(())
    }
}

/// What [`SinkWriter::prepare_commit`](crate::SinkWriter::prepare_commit) returns when everything is
/// written already, or nothing was.
pub fn nothing_to_commit<C: Send + 'static>() -> BoxFuture<'static, Result<Vec<C>>> {
    ready(Ok(Vec::new())).boxed()
}
