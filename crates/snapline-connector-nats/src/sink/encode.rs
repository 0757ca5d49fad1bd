//! Makes messages of records, a batch at a time, so that the user's function is inlined.

use crate::message::NewMessage;
use snapline_core::{Error, Result};
use std::error::Error as StdError;
use std::sync::Arc;

/// Hands the message of each record of a batch to a function.
pub(super) type Encode<T> =
    Arc<dyn Fn(&[T], &mut dyn FnMut(NewMessage) -> Result<()>) -> Result<()> + Send + Sync>;

/// The function for many records that calls one for each.
pub(super) fn by_record<T: 'static, E: Into<Box<dyn StdError + Send + Sync>>>(
    encode: impl Fn(&T) -> Result<NewMessage, E> + Send + Sync + 'static,
) -> Encode<T> {
    Arc::new(move |records, take| {
        for record in records {
            let message = encode(record).map_err(|error| {
                Error::invalid("a record cannot be made a message; correct the function that makes messages")
                    .because(error.into())
            })?;
            take(message)?;
        }
        Ok(())
    })
}
