//! Streams that are divided by key.

use crate::environment::StreamExecutionEnvironment;
use crate::graph::{NodeId, StreamEdge};
use crate::operator::accumulate::Emit;
use crate::operator::collector::Collector;
use crate::operator::process::{FromClosure, Process};
use crate::output::Partitioning;
use crate::process::{KeyedProcessFunction, ProcessContext, RuntimeContext};
use crate::stream::{DataStream, transform};
use snapline_core::{Data, Key, Result};
use std::marker::PhantomData;

/// A stream whose records are divided by a key, so that operators can keep state per key.
#[derive(Debug, Clone)]
pub struct KeyedStream<K, T> {
    pub(super) env: StreamExecutionEnvironment,
    nodes: Vec<NodeId>,
    pub(super) emit: Emit,
    types: PhantomData<fn() -> (K, T)>,
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    pub(crate) fn new(env: StreamExecutionEnvironment, nodes: Vec<NodeId>) -> Self {
        Self {
            env,
            nodes,
            emit: Emit::default(),
            types: PhantomData,
        }
    }

    /// Chooses when the next operator emits its results.
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = emit;
        self
    }

    /// Hands each record to a function that keeps state per key and emits what it likes.
    ///
    /// ```
    /// # use snapline_core::Result;
    /// # use snapline_dataflow::{
    /// #     Collector, DataStream, KeyedProcessFunction, ProcessContext, RuntimeContext, ValueState,
    /// # };
    /// /// Lets each number through once.
    /// #[derive(Clone, Default)]
    /// struct Distinct {
    ///     seen: ValueState<u64, ()>,
    /// }
    ///
    /// impl KeyedProcessFunction<u64, u64> for Distinct {
    ///     type Output = u64;
    ///
    ///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
    ///         self.seen = context.value_state("seen");
    ///         Ok(())
    ///     }
    ///
    ///     fn process_element(
    ///         &mut self,
    ///         number: u64,
    ///         context: &mut ProcessContext<'_, u64>,
    ///         out: &mut Collector<'_, u64>,
    ///     ) -> Result<()> {
    ///         if self.seen.value(context)?.is_none() {
    ///             self.seen.update(context, ())?;
    ///             out.collect(number);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn distinct(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.key_by(|number| *number).process(Distinct::default())
    /// }
    /// ```
    pub fn process<P>(&self, function: P) -> DataStream<P::Output>
    where
        P: KeyedProcessFunction<K, T> + Clone + Sync,
    {
        let open = move |context: &mut RuntimeContext| {
            let mut function = function.clone();
            function.open(context).map(|()| function)
        };
        transform(&self.env, "process", self.edges(), Process::<_, K, T>::new(open))
    }

    /// The same with a closure, which takes no timers: `open` registers the states of a subtask and returns what each of its
    /// records is handed to.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// fn distinct(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.key_by(|number| *number).process_with(|context| {
    ///         let seen = context.value_state("seen");
    ///         move |number, context, out| {
    ///             if seen.value(context)?.is_none() {
    ///                 seen.update(context, ())?;
    ///                 out.collect(number);
    ///             }
    ///             Ok(())
    ///         }
    ///     })
    /// }
    /// ```
    pub fn process_with<U, F>(
        &self,
        open: impl Fn(&mut RuntimeContext) -> F + Send + Sync + 'static,
    ) -> DataStream<U>
    where
        U: Data,
        F: FnMut(T, &mut ProcessContext<'_, K>, &mut Collector<'_, U>) -> Result<()> + Send + 'static,
    {
        let open = move |context: &mut RuntimeContext| Ok(FromClosure::<F, U>::new(open(context)));
        let process = Process::<_, K, T>::without_timers(open);
        transform(&self.env, "process", self.edges(), process)
    }

    pub(crate) fn edges(&self) -> Vec<StreamEdge> {
        self.nodes
            .iter()
            .map(|from| StreamEdge {
                from: *from,
                partitioning: Partitioning::Hash,
            })
            .collect()
    }
}
