//! State that expires in whole jobs.

use crate::support::{environment, wait_for};
use futures::executor::block_on;
use serde::{Deserialize, Deserializer, Serialize};
use snapline::Result;
use snapline::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Counts its copies that are somewhere.
#[derive(Debug, Serialize)]
struct Counted(u64);

static COUNTED: AtomicI64 = AtomicI64::new(0);
static MADE: AtomicI64 = AtomicI64::new(0);

impl Counted {
    fn new(number: u64) -> Self {
        COUNTED.fetch_add(1, Ordering::SeqCst);
        MADE.fetch_add(1, Ordering::SeqCst);
        Self(number)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNTED.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::new)
    }
}

/// Remembers each number for a moment.
#[derive(Clone, Default)]
struct Remember(ValueState<u64, Counted>);

impl KeyedProcessFunction<u64, u64> for Remember {
    type Output = u64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        let ttl = StateTtl::new(Duration::from_millis(300));
        let clock = context.clock();
        self.0 = context.value_state(StateDescriptor::new("numbers").time_to_live(ttl, clock));
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        self.0.update(context, Counted::new(number))?;
        out.collect(number);
        Ok(())
    }
}

/// No key comes twice, and nothing is sent any more.
#[test]
fn state_that_nobody_touches_any_more_goes_while_the_job_runs() {
    let env = environment(2, MemoryCheckpointStorage::new());
    let (feed, source) = ChannelSource::bounded(1 << 10);
    env.from_source(source, "numbers")
        .key_by(|number: &u64| *number)
        .process(Remember::default())
        .sink_to(DiscardSink);
    let handle = block_on(env.execute_async("test")).unwrap();
    (0..10_000_u64).for_each(|number| block_on(feed.send(number)).unwrap());
    wait_for(&handle, |status| status.records == 10_000);
    wait_for(&handle, |_| MADE.load(Ordering::SeqCst) >= 10_000);
    wait_for(&handle, |_| COUNTED.load(Ordering::SeqCst) == 0);
    assert_eq!(handle.status().state, JobState::Running);
    drop(feed);
    block_on(handle.wait()).unwrap();
}
