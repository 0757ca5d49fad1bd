//! The output of a stream whose records a function of the program deals out.

use super::{Output, OutputPort, Partitioning};
use crate::factory::{ErasedLink, OutputFactory, OutputOf, OutputSettings};
use crate::head::TaskHead;
use snapline_core::{BoxedBatch, Data, Result};
use std::sync::Arc;

/// Says which subtask a record goes to, of how many.
pub(crate) type Partitioner<T> = Arc<dyn Fn(&T, u32) -> u32 + Send + Sync>;

/// As that of any stream of records of type `T`, and knows the function.
pub(crate) struct CustomOutput<T> {
    partitioner: Partitioner<T>,
    output: OutputOf<T>,
}

impl<T> CustomOutput<T> {
    pub(crate) fn new(partitioner: Partitioner<T>) -> Self {
        Self {
            partitioner,
            output: OutputOf::new(),
        }
    }
}

impl<T: Data> OutputFactory for CustomOutput<T> {
    fn tee(&self, links: Vec<ErasedLink>) -> Result<ErasedLink> {
        self.output.tee(links)
    }

    fn output(&self, settings: OutputSettings, port: Box<dyn OutputPort>) -> ErasedLink {
        match settings.partitioning {
            Partitioning::Custom => {
                let output = Output::custom(self.partitioner.clone(), port, settings.batch_records);
                ErasedLink::new::<T>(Box::new(output))
            }
            _ => self.output.output(settings, port),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<BoxedBatch> {
        self.output.decode(bytes)
    }

    fn input(&self, link: ErasedLink) -> Result<Box<dyn TaskHead>> {
        self.output.input(link)
    }
}
