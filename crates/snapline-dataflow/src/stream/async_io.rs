//! Streams that ask the outside world.

use crate::async_io::{AsyncFunction, AsyncIo, FromAsync};
use crate::operator::async_io::Asynchronous;
use crate::stream::DataStream;
use snapline_core::{Data, Result};

impl<T: Data> DataStream<T> {
    /// Each record becomes what the outside world answers, with many requests on their way at the same time.
    ///
    /// A snapshot has the records whose results have not gone on, so that after a failure, or at another parallelism,
    /// they are asked about again: each result goes on exactly once, but the outside world may be asked more than once.
    /// A request that fails, or is not answered in time, makes the job restart, once its
    /// [retries](AsyncIo::retry) are over; [`async_process`](Self::async_process) can go on without an answer.
    ///
    /// The future runs in the task's thread, on the executor of the job: with the default one that is tokio, so clients
    /// that need tokio work. It must not block.
    ///
    /// ```
    /// # use snapline_core::Result;
    /// use snapline_dataflow::{AsyncIo, DataStream};
    /// use std::time::Duration;
    ///
    /// # async fn fetch_name(user: u64) -> Result<String> { Ok(user.to_string()) }
    /// fn named(users: &DataStream<u64>) -> DataStream<(u64, String)> {
    ///     let lookups = AsyncIo::ordered(Duration::from_secs(5));
    ///     users.async_map(lookups, |user| async move { Ok((user, fetch_name(user).await?)) })
    /// }
    /// ```
    pub fn async_map<U, A>(
        &self,
        settings: AsyncIo,
        function: impl Fn(T) -> A + Clone + Send + Sync + 'static,
    ) -> DataStream<U>
    where
        U: Data,
        A: Future<Output = Result<U>> + Send + 'static,
    {
        self.asynchronous("async-map", settings, FromAsync::<_, U>::new(function))
    }

    /// The same with any number of results for each record, and a say in what happens to those that are not answered
    /// in time. Each subtask has a clone of the function.
    pub fn async_process<F>(&self, settings: AsyncIo, function: F) -> DataStream<F::Output>
    where
        F: AsyncFunction<T> + Clone,
    {
        self.asynchronous("async-process", settings, function)
    }

    fn asynchronous<F>(&self, name: &str, settings: AsyncIo, function: F) -> DataStream<F::Output>
    where
        F: AsyncFunction<T> + Clone,
    {
        self.env.require(settings.check(), name);
        self.transform(name, Asynchronous::new(settings, function))
    }
}
