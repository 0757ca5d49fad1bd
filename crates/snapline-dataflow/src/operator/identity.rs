//! An operator that changes nothing: the head of a loop, where what comes in and what comes back is one stream, or a stream that is
//! dealt out in a way of its own.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use async_trait::async_trait;
use snapline_core::Result;

/// Is not there while records flow: the next operator is what takes them.
pub(crate) struct Identity;

#[async_trait]
impl OperatorFactory for Identity {
    async fn link(&self, _context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        Ok(next)
    }
}
