//! Timers in whole jobs: each fires once, on one subtask, whatever fails and however often the job is rescaled.

use crate::support::{cancel_after_checkpoints, environment, panic_at, run, wait_for};
use futures::executor::block_on;
use snapline::Result;
use snapline::connector::ChannelSender;
use snapline::core::{Key, Timestamp};
use snapline::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const KEYS: u64 = 97;

/// Registers two timers for each number, of which one is far away, and emits the times at which they fire.
#[derive(Clone)]
struct Remind;

const SOON: u64 = 1_000;
const FAR: u64 = 1_000_000_000;

impl KeyedProcessFunction<u64, u64> for Remind {
    type Output = (u64, i64);

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, (u64, i64)>,
    ) -> Result<()> {
        assert_eq!(context.timestamp(), Some(Timestamp(number as i64)));
        for after in [SOON, FAR, SOON] {
            context.register_event_time_timer(Timestamp((number + after) as i64))?;
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, i64)>,
    ) -> Result<()> {
        assert_eq!(domain, TimeDomain::EventTime);
        assert!(time <= context.current_watermark().0);
        out.collect((*context.current_key(), time.0));
        Ok(())
    }
}

fn remind(env: &StreamExecutionEnvironment, numbers: u64, sink: CollectSink<(u64, i64)>) {
    let fail = panic_at(5_000);
    let strategy = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64| Timestamp(*number as i64));
    env.from_source(SequenceSource::new(0..numbers), "numbers")
        .assign_timestamps_and_watermarks(strategy)
        .key_by(|number| number % KEYS)
        .process(Remind)
        .uid("timers")
        .map(move |fired| {
            fail(0);
            fired
        })
        .sink_to(sink)
        .uid("results");
}

fn assert_each_fired_once(mut fired: Vec<(u64, i64)>, numbers: u64) {
    fired.sort_unstable_by_key(|(_, time)| *time);
    let expected = |after| (0..numbers).map(move |number| (number % KEYS, (number + after) as i64));
    let expected: Vec<_> = expected(SOON).chain(expected(FAR)).collect();
    assert_eq!(fired.len(), expected.len());
    assert!(fired == expected);
}

#[test]
fn each_timer_fires_once_as_if_nothing_had_failed() {
    for parallelism in [1, 2, 4] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (sink, fired) = CollectSink::new();
        remind(&env, 20_000, sink);
        let status = run(&env).unwrap().status;
        assert_eq!(
            (status.state, status.restarts),
            (JobState::Finished, 1),
            "{status:?}"
        );
        assert_each_fired_once(fired.take(), 20_000);
    }
}

/// Each run takes two checkpoints at least, has a task that panics, and is cancelled; the last one ends.
#[test]
fn each_timer_fires_once_at_any_parallelism() {
    const NUMBERS: u64 = 200_000;
    let storage = MemoryCheckpointStorage::new();
    let (sink, fired) = CollectSink::new();
    let sequence = [1, 2, 3, 1];
    for (run, parallelism) in sequence.into_iter().enumerate() {
        let env = environment(parallelism, storage.clone());
        remind(&env, NUMBERS, sink.clone());
        let handle = block_on(env.execute_async("test")).unwrap();
        if run + 1 < sequence.len() {
            cancel_after_checkpoints(&handle, run > 0);
        }
        let _ = block_on(handle.wait());
    }
    assert_each_fired_once(fired.take(), NUMBERS);
}

/// Counts timers of processing time that fire, so many milliseconds after their records.
#[derive(Clone)]
struct After {
    millis: u64,
    fired: Arc<AtomicU64>,
}

impl KeyedProcessFunction<u64, u64> for After {
    type Output = u64;

    fn process_element(
        &mut self,
        _: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let until = context.processing_time().plus_millis(self.millis);
        context.register_processing_time_timer(until)
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        assert_eq!((domain, context.timestamp()), (TimeDomain::ProcessingTime, None));
        assert!(time <= context.processing_time());
        self.fired.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The first run is cancelled with all timers in a checkpoint; they fire in the second, to which nothing is sent.
#[test]
fn a_timer_of_processing_time_wakes_a_job_to_which_nothing_is_sent() {
    let storage = MemoryCheckpointStorage::new();
    let fired = Arc::new(AtomicU64::new(0));
    for (parallelism, numbers, millis) in [(1, 300, 500), (3, 0, 1)] {
        let env = environment(parallelism, storage.clone());
        let (feed, source) = ChannelSource::bounded(1 << 10);
        let function = After {
            millis,
            fired: fired.clone(),
        };
        env.from_source(source, "numbers")
            .key_by(|number: &u64| *number)
            .process(function)
            .uid("timers")
            .sink_to(DiscardSink)
            .uid("results");
        let handle = block_on(env.execute_async("test")).unwrap();
        for number in 0..numbers {
            block_on(feed.send(number)).unwrap();
        }
        wait_for(&handle, |status| status.records >= numbers);
        let before = handle.status().checkpoints.completed;
        wait_for(&handle, |status| {
            let is_stored = status.checkpoints.completed > before + 1;
            is_stored && (numbers > 0 || fired.load(Ordering::SeqCst) == 300)
        });
        handle.cancel();
        let _ = block_on(handle.wait());
    }
    assert_eq!(fired.load(Ordering::SeqCst), 300);
}

/// What a function knows of its users: by number in the first run, by name in the second.
#[derive(Clone)]
struct Visits<K> {
    visits: ValueState<K, u64>,
    /// From numbers to keys, if those of before were numbers.
    migrate: Option<fn(u64) -> K>,
}

impl<K: Key> KeyedProcessFunction<K, u64> for Visits<K> {
    type Output = (u64, i64);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.visits = context.value_state("visits");
        if let Some(migrate) = self.migrate {
            context.migrate_keys(2, move |_, stored| Ok(migrate(snapline::core::decode(stored)?)));
        }
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, K>,
        _: &mut Collector<'_, (u64, i64)>,
    ) -> Result<()> {
        let visits = self.visits.value(context)?.unwrap_or(0);
        self.visits.update(context, visits + 1)?;
        context.register_event_time_timer(Timestamp((number % KEYS) as i64))
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, (u64, i64)>,
    ) -> Result<()> {
        out.collect((self.visits.value(context)?.unwrap_or(0), time.0));
        Ok(())
    }
}

fn name(key: u64) -> String {
    format!("user {key}")
}

/// Counts the visits of users, who are keys of some type.
fn visit<K: Key>(
    env: &StreamExecutionEnvironment,
    source: ChannelSource<u64>,
    key: impl Fn(u64) -> K + Clone + Send + Sync + 'static,
    sink: CollectSink<(u64, i64)>,
    migrate: Option<fn(u64) -> K>,
) -> JobHandle {
    let visits = Visits {
        visits: ValueState::default(),
        migrate,
    };
    env.from_source(source, "numbers")
        .key_by(move |number| key(number % KEYS))
        .process(visits)
        .uid("visits")
        .sink_to(sink)
        .uid("results");
    block_on(env.execute_async("test")).unwrap()
}

#[test]
fn keys_of_another_type_find_their_states_and_timers_at_another_parallelism() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, fired) = CollectSink::new();
    let send = |feed: &ChannelSender<u64>, handle: &JobHandle| {
        (0..1_000).for_each(|number| block_on(feed.send(number)).unwrap());
        wait_for(handle, |status| status.records >= 1_000);
        let before = handle.status().checkpoints.completed;
        wait_for(handle, |status| status.checkpoints.completed > before + 1);
    };
    let (feed, source) = ChannelSource::bounded(1 << 10);
    let handle = visit(
        &environment(2, storage.clone()),
        source,
        |key| key,
        sink.clone(),
        None,
    );
    send(&feed, &handle);
    handle.cancel();
    let _ = block_on(handle.wait());

    let (feed, source) = ChannelSource::bounded(1 << 10);
    let handle = visit(&environment(3, storage), source, name, sink, Some(name));
    send(&feed, &handle);
    drop(feed);
    block_on(handle.wait()).unwrap();
    let mut fired = fired.take();
    fired.sort_unstable_by_key(|(_, time)| *time);
    let visits = |key: u64| (0..1_000).filter(|number| number % KEYS == key).count() as u64;
    assert!(
        fired
            .into_iter()
            .eq((0..KEYS).map(|key| (2 * visits(key), key as i64)))
    );
}

/// Emits each timer that fires. It adds the next one, until somebody has seen enough: all of them are due by one
/// watermark, which comes once.
#[derive(Clone)]
struct Endless {
    has_enough: Arc<AtomicBool>,
    is_to_fail: Arc<AtomicBool>,
}

/// The time of the first timer of each key, of the record behind which all are due, and of one behind that.
const FIRST: i64 = 1_000;
const LAST: u64 = 1_000_000_000;
const LATE: u64 = KEYS + 5;

impl KeyedProcessFunction<u64, u64> for Endless {
    type Output = (u64, i64);

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, i64)>,
    ) -> Result<()> {
        match number {
            0..KEYS => context.register_event_time_timer(Timestamp(FIRST))?,
            LATE => out.collect((*context.current_key(), -1)),
            _ => {}
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, i64)>,
    ) -> Result<()> {
        assert!(!self.is_to_fail.swap(false, Ordering::SeqCst), "planned");
        out.collect((*context.current_key(), time.0));
        if !self.has_enough.load(Ordering::SeqCst) {
            context.register_event_time_timer(time.plus_millis(1))?;
        }
        Ok(())
    }
}

fn fire_endlessly(
    env: &StreamExecutionEnvironment,
    source: ChannelSource<u64>,
    function: Endless,
    sink: CollectSink<(u64, i64)>,
) -> JobHandle {
    let strategy = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64| Timestamp(*number as i64));
    env.from_source(source, "numbers")
        .assign_timestamps_and_watermarks(strategy)
        .key_by(|number| number % KEYS)
        .process(function)
        .uid("timers")
        .sink_to(sink)
        .uid("results");
    block_on(env.execute_async("test")).unwrap()
}

/// The watermark that brings them about comes in the first run alone, in which a task panics. The second one is sent
/// nothing, the third one a late record, which has to wait until the timers have fired.
#[test]
fn checkpoints_complete_while_timers_fire_and_have_those_that_are_left_with_their_watermark() {
    let storage = MemoryCheckpointStorage::new();
    let function = Endless {
        has_enough: Arc::default(),
        is_to_fail: Arc::default(),
    };
    let (sink, fired) = CollectSink::new();
    let wait_for_two = |handle: &JobHandle| {
        let before = handle.status().checkpoints.completed;
        wait_for(handle, |status| status.checkpoints.completed >= before + 2);
    };
    for (run, parallelism) in [1, 3, 2].into_iter().enumerate() {
        let env = environment(parallelism, storage.clone());
        let (feed, source) = ChannelSource::bounded(1 << 10);
        let handle = fire_endlessly(&env, source, function.clone(), sink.clone());
        let send = |numbers: &mut dyn Iterator<Item = u64>| {
            let sent = numbers.map(|number| block_on(feed.send(number)).unwrap()).count();
            wait_for(&handle, |status| status.records >= sent as u64);
        };
        match run {
            0 => send(&mut (0..KEYS).chain([LAST])),
            _ => _ = wait_for(&handle, |status| status.restored.is_some()),
        }
        wait_for_two(&handle);
        if run == 0 {
            function.is_to_fail.store(true, Ordering::SeqCst);
            wait_for(&handle, |status| status.restarts == 1);
            wait_for_two(&handle);
        }
        if run < 2 {
            handle.cancel();
        } else {
            send(&mut [LATE].into_iter());
            function.has_enough.store(true, Ordering::SeqCst);
            drop(feed);
        }
        let _ = block_on(handle.wait());
    }
    let fired = fired.take();
    for key in 0..KEYS {
        let times: Vec<i64> = fired
            .iter()
            .filter(|(of, _)| *of == key)
            .map(|(_, time)| *time)
            .collect();
        let late = times
            .iter()
            .rposition(|time| *time != -1)
            .map_or(0, |last| last + 1);
        assert!(
            times[late..].iter().eq((key == LATE % KEYS).then_some(&-1)),
            "{key}: {late}"
        );
        assert!(late > 3, "{key}: {late} timers in three runs");
        assert!(
            times[..late].iter().copied().eq(FIRST..FIRST + late as i64),
            "key {key}"
        );
    }
}
