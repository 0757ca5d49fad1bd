//! The head of a loop: what comes in and what comes back, as one stream.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use async_trait::async_trait;
use snapline_core::Result;

/// Is not there while records flow: the next operator is what takes them.
pub(crate) struct Iterate;

#[async_trait]
impl OperatorFactory for Iterate {
    async fn link(&self, _context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        Ok(next)
    }
}
