//! What everybody can see.

use super::World;
use snapline_core::{Data, Result, decode, encode_into};
use std::marker::PhantomData;

/// The records that everybody can see: nothing ever takes one back.
///
/// For sinks of the user's own, which publish at the moment at which the outside world would see the
/// records.
#[derive(Debug, Clone)]
pub struct Output<T> {
    world: World,
    records: PhantomData<fn() -> T>,
}

impl<T: Data> Output<T> {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            records: PhantomData,
        }
    }

    /// From now on everybody sees these records too.
    ///
    /// # Errors
    /// `Invalid` when a record cannot be encoded.
    pub fn publish(&self, records: impl IntoIterator<Item = T>) -> Result<()> {
        let mut encoded = Vec::new();
        for record in records {
            let mut bytes = Vec::new();
            encode_into(&record, &mut bytes)?;
            encoded.push(bytes);
        }
        if encoded.is_empty() {
            return Ok(());
        }
        let outside = &self.world.shared;
        outside
            .trace
            .note("world", || format!("{} records become visible", encoded.len()));
        outside.state().visible.append(&mut encoded);
        Ok(())
    }

    /// The records so far.
    ///
    /// # Errors
    /// `Corrupted` when they are of another type.
    pub fn records(&self) -> Result<Vec<T>> {
        self.world.visible().iter().map(|bytes| decode(bytes)).collect()
    }
}
