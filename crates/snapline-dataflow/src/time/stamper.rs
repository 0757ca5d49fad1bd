//! Gives records their timestamps and follows them with watermarks.

use super::generator::{WatermarkGenerator, WatermarkOutput};
use super::idleness::{Check, Idleness};
use super::strategy::{AssignAll, WatermarkStrategy};
use crate::alarm::Alarm;
use snapline_core::{Batch, Error, Result, Watermark};
use std::sync::Arc;

/// What a strategy does to the records of one split or one subtask.
pub(crate) struct Stamper<T> {
    assigner: Option<Arc<dyn AssignAll<T>>>,
    generator: Box<dyn WatermarkGenerator<T>>,
    idleness: Option<Idleness>,
    out: WatermarkOutput,
}

impl<T: 'static> Stamper<T> {
    pub(crate) fn new(strategy: &WatermarkStrategy<T>) -> Self {
        Self {
            assigner: strategy.assigner(),
            generator: strategy.generator(),
            idleness: strategy.idleness().map(Idleness::new),
            out: WatermarkOutput::default(),
        }
    }

    /// Gives the records timestamps. Returns the watermarks, each behind how many of them it stands.
    ///
    /// # Errors
    /// `Invalid` when nobody gives the records timestamps.
    pub(crate) fn stamp(
        &mut self,
        batch: &mut Batch<T>,
    ) -> Result<impl Iterator<Item = (usize, Watermark)> + use<'_, T>> {
        if let Some(assigner) = &self.assigner {
            let timestamps = batch.timestamps.get_or_insert_default();
            timestamps.clear();
            assigner.assign_all(&batch.records, timestamps);
        }
        let timestamps = batch.timestamps.as_deref().ok_or_else(no_timestamps)?;
        self.generator.on_batch(&batch.records, timestamps, &mut self.out);
        Ok(self.out.take())
    }

    /// Records have come. Returns whether none had for long.
    pub(crate) fn on_activity(&mut self) -> bool {
        self.idleness.as_mut().is_some_and(Idleness::on_activity)
    }

    /// Nothing can come for now, because the reader waits.
    pub(crate) fn hold(&mut self) {
        if let Some(idleness) = &mut self.idleness {
            idleness.hold();
        }
    }

    /// Time has passed. Returns whether nothing has come for too long.
    pub(crate) fn on_processing_time(&mut self, alarm: &mut Alarm) -> bool {
        let Some(idleness) = &mut self.idleness else {
            return false;
        };
        alarm.listen();
        match idleness.check(alarm.now()) {
            Check::Idle => true,
            Check::Still => false,
            Check::Again(at) => {
                alarm.wake_at(at);
                false
            }
        }
    }
}

fn no_timestamps() -> Error {
    Error::invalid(
        "records have no timestamps, and the watermark strategy gives them none; add .with_timestamp_assigner(...)",
    )
}
