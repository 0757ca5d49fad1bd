//! Streams that are divided by key and by windows.

use crate::environment::StreamExecutionEnvironment;
use crate::graph::StreamEdge;
use crate::operator::collector::Collector;
use crate::operator::sessions::SessionsOf;
use crate::operator::sliced::SlicedOf;
use crate::operator::window::{WindowOf, Windowing};
use crate::output_tag::OutputTag;
use crate::process::TimeDomain;
use crate::stream::{DataStream, KeyedStream, transform};
use crate::window::alignment::length;
use crate::window::assigner::WindowAssigner;
use crate::window::contents::{Aggregated, Contents, Elements, Evicted, Reduced};
use crate::window::evictor::Evictor;
use crate::window::function::{AsTheyAre, Called, IfAny, WindowContext, WindowFunction};
use crate::window::slicing::Slicing;
use crate::window::trigger::{EventTimeTrigger, Trigger};
use snapline_core::{Data, Error, Key, Result};
use snapline_state::AggregateFunction;
use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A stream whose records are divided by key and gathered in windows.
///
/// Made by [`KeyedStream::window`] and [`DataStream::window_all`]. What is emitted has the last timestamp of its
/// window.
pub struct WindowedStream<K, T, A: WindowAssigner<T>, G = <A as WindowAssigner<T>>::DefaultTrigger> {
    env: StreamExecutionEnvironment,
    edges: Vec<StreamEdge>,
    /// Of the operator, when it is not that of the job.
    parallelism: Option<u32>,
    assigner: A,
    trigger: G,
    evictor: Option<Arc<dyn Evictor<T, A::Window>>>,
    lateness: Duration,
    late: Option<OutputTag<T>>,
    types: PhantomData<fn() -> (K, T)>,
}

impl<K: Key, T: Data, A: WindowAssigner<T>> WindowedStream<K, T, A> {
    pub(crate) fn new(
        env: StreamExecutionEnvironment,
        edges: Vec<StreamEdge>,
        parallelism: Option<u32>,
        assigner: A,
    ) -> Self {
        Self {
            env,
            edges,
            parallelism,
            trigger: assigner.default_trigger(),
            assigner,
            evictor: None,
            lateness: Duration::ZERO,
            late: None,
            types: PhantomData,
        }
    }
}

impl<K, T, A, G> WindowedStream<K, T, A, G>
where
    K: Key,
    T: Data,
    A: WindowAssigner<T>,
    G: Trigger<T, A::Window>,
{
    /// Emits the contents of a window when this trigger says so, instead of at its end.
    ///
    /// Windows that emit once at their end keep their state in another form than those with a trigger, an evictor or
    /// an allowed lateness. From one to the other a savepoint does not carry open windows over: they begin empty, and
    /// what they had stays in later checkpoints unused. Let them end before such a change, or give the operator another
    /// [`uid`](DataStream::uid).
    #[must_use]
    pub fn trigger<H: Trigger<T, A::Window>>(self, trigger: H) -> WindowedStream<K, T, A, H> {
        WindowedStream {
            env: self.env,
            edges: self.edges,
            parallelism: self.parallelism,
            assigner: self.assigner,
            trigger,
            evictor: self.evictor,
            lateness: self.lateness,
            late: self.late,
            types: PhantomData,
        }
    }

    /// Removes records from a window before or after its contents are emitted. All records of a window are kept then.
    #[must_use]
    pub fn evictor(self, evictor: impl Evictor<T, A::Window>) -> Self {
        let evictor: Arc<dyn Evictor<T, A::Window>> = Arc::new(evictor);
        Self {
            evictor: Some(evictor),
            ..self
        }
    }

    /// Keeps windows of event time for so long after their end, for records that are late. Each of them makes the
    /// window emit again, unless the trigger is another.
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// Sends records that are too late to a side output, instead of only counting them.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, OutputTag, TumblingEventTimeWindows};
    /// # use std::time::Duration;
    /// /// Sums per second, and the numbers that came too late for them.
    /// fn sums(numbers: &DataStream<u64>) -> (DataStream<u64>, DataStream<u64>) {
    ///     let late = OutputTag::new("late");
    ///     let sums = numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
    ///         .side_output_late_data(&late)
    ///         .reduce(|sum, number| *sum += number);
    ///     let late = sums.side_output(&late);
    ///     (sums, late)
    /// }
    /// ```
    #[must_use]
    pub fn side_output_late_data(self, tag: &OutputTag<T>) -> Self {
        let late = Some(tag.clone());
        Self { late, ..self }
    }

    /// Combines the records of each window into one: `combine` folds a new record into the one so far.
    ///
    /// Sliding windows put together what parts of them have become, and sessions merge, so `combine` has to be associative:
    /// of three records in a row it may combine the first two first, or the last two.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, EventTimeSessionWindows};
    /// # use std::time::Duration;
    /// /// How often each user has clicked in a visit.
    /// fn visits(clicks: &DataStream<(String, u64)>) -> DataStream<(String, u64)> {
    ///     clicks
    ///         .key_by(|(user, _)| user.clone())
    ///         .window(EventTimeSessionWindows::with_gap(Duration::from_secs(1_800)))
    ///         .reduce(|visit, click| visit.1 += click.1)
    /// }
    /// ```
    pub fn reduce(&self, combine: impl Fn(&mut T, T) + Clone + Send + Sync + 'static) -> DataStream<T> {
        self.apply("window-reduce", Reduced(combine), AsTheyAre)
    }

    /// The same, and hands what has become of a window to a function that also sees the key and the window.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, TumblingEventTimeWindows};
    /// # use std::time::Duration;
    /// /// The most of each second, and when it began.
    /// fn most(numbers: &DataStream<u64>) -> DataStream<(i64, u64)> {
    ///     numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
    ///         .reduce_with(
    ///             |most, number| *most = number.max(*most),
    ///             |_key, context, most, out| {
    ///                 out.collect((context.window().start().0, most));
    ///                 Ok(())
    ///             },
    ///         )
    /// }
    /// ```
    pub fn reduce_with<U: Data, F>(
        &self,
        combine: impl Fn(&mut T, T) + Clone + Send + Sync + 'static,
        function: F,
    ) -> DataStream<U>
    where
        F: FnMut(&K, &WindowContext<'_, A::Window>, T, &mut Collector<'_, U>) -> Result<()>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.apply("window-reduce", Reduced(combine), Called(function))
    }

    /// Gathers the records of each window in an accumulator and emits what comes of it.
    ///
    /// Windows that merge need [`AggregateFunction::merge`]; without it the job is refused.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, SlidingEventTimeWindows};
    /// # use snapline_state::AggregateFunction;
    /// # use std::time::Duration;
    /// #[derive(Clone)]
    /// struct Count;
    ///
    /// impl AggregateFunction for Count {
    ///     type Input = u64;
    ///     type Accumulator = u64;
    ///     type Output = u64;
    ///
    ///     fn create_accumulator(&self) -> u64 {
    ///         0
    ///     }
    ///
    ///     fn add(&self, count: &mut u64, _: u64) {
    ///         *count += 1;
    ///     }
    ///
    ///     fn result(&self, count: &u64) -> u64 {
    ///         *count
    ///     }
    /// }
    ///
    /// fn per_minute(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     let minutes = SlidingEventTimeWindows::of(Duration::from_secs(60), Duration::from_secs(1));
    ///     numbers.key_by(|number| number % 10).window(minutes).aggregate(Count)
    /// }
    /// ```
    pub fn aggregate<F>(&self, function: F) -> DataStream<F::Output>
    where
        F: AggregateFunction<Input = T> + Clone + Send + Sync + 'static,
        F::Output: Data,
    {
        self.apply("window-aggregate", Aggregated(function), AsTheyAre)
    }

    /// The same, and hands what comes of it to a function that also sees the key and the window.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, TumblingEventTimeWindows};
    /// # use snapline_state::AggregateFunction;
    /// # use std::time::Duration;
    /// # #[derive(Clone)]
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type Input = u64;
    /// #     type Accumulator = u64;
    /// #     type Output = u64;
    /// #     fn create_accumulator(&self) -> u64 {
    /// #         0
    /// #     }
    /// #     fn add(&self, count: &mut u64, _: u64) {
    /// #         *count += 1;
    /// #     }
    /// #     fn result(&self, count: &u64) -> u64 {
    /// #         *count
    /// #     }
    /// # }
    /// /// How many numbers of each last digit came in each second, and when it began.
    /// fn per_second(numbers: &DataStream<u64>) -> DataStream<(u64, i64, u64)> {
    ///     numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
    ///         .aggregate_with(Count, |digit, context, count, out| {
    ///             out.collect((*digit, context.window().start().0, count));
    ///             Ok(())
    ///         })
    /// }
    /// ```
    pub fn aggregate_with<F, U: Data, P>(&self, aggregate: F, function: P) -> DataStream<U>
    where
        F: AggregateFunction<Input = T> + Clone + Send + Sync + 'static,
        F::Output: 'static,
        P: FnMut(&K, &WindowContext<'_, A::Window>, F::Output, &mut Collector<'_, U>) -> Result<()>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.apply("window-aggregate", Aggregated(aggregate), Called(function))
    }

    /// Hands all records of a window to a function, in the order in which they have come. All of them are kept until
    /// the window ends: where a sum is enough, use [`Self::aggregate_with`].
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, TumblingEventTimeWindows};
    /// # use std::time::Duration;
    /// /// The median of each second.
    /// fn medians(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
    ///         .process(|_key, _context, mut numbers, out| {
    ///             numbers.sort_unstable();
    ///             out.collect(numbers[numbers.len() / 2]);
    ///             Ok(())
    ///         })
    /// }
    /// ```
    pub fn process<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: FnMut(&K, &WindowContext<'_, A::Window>, Vec<T>, &mut Collector<'_, U>) -> Result<()>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.apply("window-process", Elements, Called(function))
    }

    fn apply<C, F, U>(&self, name: &str, contents: C, function: F) -> DataStream<U>
    where
        C: Contents<T, A::Window>,
        F: WindowFunction<K, A::Window, C::Output, U>,
        U: Data,
    {
        self.env.require(self.check::<C>(&contents), name);
        match self.evictor.clone() {
            None => self.operator(name, contents, function),
            Some(evictor) => self.operator(name, Evicted { evictor, contents }, IfAny(function)),
        }
    }

    fn check<C: Contents<T, A::Window>>(&self, contents: &C) -> Result<()> {
        self.assigner.check()?;
        self.trigger.check()?;
        if self.lateness != Duration::ZERO {
            if self.assigner.time() == TimeDomain::ProcessingTime {
                return Err(Error::invalid(
                    "windows of processing time have no late records; leave .allowed_lateness(...) out",
                ));
            }
            if length(self.lateness) == 0 {
                return Err(Error::invalid("the allowed lateness must be whole milliseconds"));
            }
        }
        if self.assigner.is_merging() && self.evictor.is_none() {
            contents.check_merge()?;
        }
        Ok(())
    }

    fn operator<C, F, U>(&self, name: &str, contents: C, function: F) -> DataStream<U>
    where
        C: Contents<T, A::Window>,
        F: WindowFunction<K, A::Window, C::Output, U>,
        U: Data,
    {
        let (edges, late) = (self.edges.clone(), self.late.clone());
        if let Some(slicing) = self.slicing(&contents) {
            let types = PhantomData;
            let factory: SlicedOf<A::Window, C, F, K, T, U> = SlicedOf {
                slicing,
                contents,
                function,
                late,
                types,
            };
            return self.with_parallelism(transform(&self.env, name, edges, factory));
        }
        if self.has_simple_sessions() {
            let factory: SessionsOf<A, C, F, K, T, U> = SessionsOf {
                assigner: self.assigner.clone(),
                contents,
                function,
                late,
                types: PhantomData,
            };
            return self.with_parallelism(transform(&self.env, name, edges, factory));
        }
        let factory = WindowOf::<A, G, C, F, K, T, U>::new(Windowing {
            assigner: self.assigner.clone(),
            trigger: self.trigger.clone(),
            contents,
            function,
            lateness: length(self.lateness).unsigned_abs(),
            late,
        });
        self.with_parallelism(transform(&self.env, name, edges, factory))
    }

    /// Whether each window emits once, at its end, all that it has.
    fn emits_at_the_end(&self) -> bool {
        let is_by_the_end = TypeId::of::<G>() == TypeId::of::<EventTimeTrigger>();
        is_by_the_end && self.lateness == Duration::ZERO && self.evictor.is_none()
    }

    /// Whether windows merge, and nothing else matters.
    fn has_simple_sessions(&self) -> bool {
        let assigner = &self.assigner;
        let are_sessions = assigner.is_merging() && assigner.has_one_window();
        self.emits_at_the_end() && are_sessions && assigner.time() == TimeDomain::EventTime
    }

    /// How the windows are made of slices, when that is all that matters.
    fn slicing<C: Contents<T, A::Window>>(&self, contents: &C) -> Option<Slicing<A::Window>> {
        if !self.emits_at_the_end() {
            return None;
        }
        let slicing = self.assigner.slicing()?;
        (slicing.is_tumbling() || contents.is_divisible()).then_some(slicing)
    }

    fn with_parallelism<U: Data>(&self, stream: DataStream<U>) -> DataStream<U> {
        match self.parallelism {
            Some(parallelism) => stream.parallelism(parallelism),
            None => stream,
        }
    }
}

impl<T: Data> DataStream<T> {
    /// Gathers the records of the whole stream in windows, in a single subtask.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, TumblingEventTimeWindows};
    /// # use std::time::Duration;
    /// fn total_per_second(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(TumblingEventTimeWindows::of(Duration::from_secs(1)))
    ///         .reduce(|sum, number| *sum += number)
    /// }
    /// ```
    pub fn window_all<A: WindowAssigner<T>>(&self, assigner: A) -> WindowedStream<(), T, A> {
        let all = self.key_by(|_| ());
        WindowedStream::new(self.env.clone(), all.edges(), Some(1), assigner)
    }
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    /// Gathers the records of each key in windows.
    ///
    /// ```
    /// # use snapline_core::Timestamp;
    /// # use snapline_dataflow::{DataStream, TumblingEventTimeWindows, WatermarkStrategy};
    /// # use std::time::Duration;
    /// /// How often each word comes in each minute, where lines begin with their time in milliseconds.
    /// fn counts(words: &DataStream<(i64, String)>) -> DataStream<(String, u64)> {
    ///     let strategy = WatermarkStrategy::<(i64, String)>::for_bounded_out_of_orderness(Duration::from_secs(5));
    ///     words
    ///         .assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(|(at, _)| Timestamp(*at)))
    ///         .map(|(_, word)| (word, 1))
    ///         .key_by(|(word, _)| word.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .reduce(|count, word| count.1 += word.1)
    /// }
    /// ```
    pub fn window<A: WindowAssigner<T>>(&self, assigner: A) -> WindowedStream<K, T, A> {
        WindowedStream::new(self.env.clone(), self.edges(), None, assigner)
    }
}

impl<K, T, A: WindowAssigner<T>, G> fmt::Debug for WindowedStream<K, T, A, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowedStream")
            .field("edges", &self.edges)
            .field("lateness", &self.lateness)
            .finish_non_exhaustive()
    }
}
