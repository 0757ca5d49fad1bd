//! The functions of the user that ask.

use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_core::{Data, Error, Result};
use std::marker::PhantomData;

/// Asks the outside world about each record. One function serves all requests of a subtask at the same time.
///
/// ```
/// use futures::future::BoxFuture;
/// use futures::FutureExt;
/// use snapline_core::Result;
/// use snapline_dataflow::AsyncFunction;
///
/// /// Looks up the names of users; who is not found in time goes on without a name.
/// #[derive(Clone)]
/// struct Names;
///
/// impl AsyncFunction<u64> for Names {
///     type Output = (u64, Option<String>);
///
///     fn invoke(&self, user: u64) -> BoxFuture<'static, Result<Vec<Self::Output>>> {
///         async move { Ok(vec![(user, Some(format!("user {user}")))]) }.boxed()
///     }
///
///     fn timeout(&self, user: u64) -> Result<Vec<Self::Output>> {
///         Ok(vec![(user, None)])
///     }
/// }
/// ```
pub trait AsyncFunction<T: Data>: Send + Sync + 'static {
    /// What is emitted.
    type Output: Data;

    /// Asks about a record. The future is polled by the task and must not block its thread; dropping it gives the
    /// request up. After a failure the same record is asked about again, so the outside world has to bear that.
    fn invoke(&self, record: T) -> BoxFuture<'static, Result<Vec<Self::Output>>>;

    /// What to emit for a record of which nothing was known in time.
    ///
    /// # Errors
    /// The job restarts; unless this is implemented, always.
    fn timeout(&self, record: T) -> Result<Vec<Self::Output>> {
        drop(record);
        Err(Error::unavailable(
            "a request was not answered in time; allow it more time, or implement AsyncFunction::timeout to go on \
             without an answer",
        ))
    }
}

/// A closure that has one answer for each record.
pub(crate) struct FromAsync<F, U> {
    closure: F,
    output: PhantomData<fn() -> U>,
}

impl<F: Clone, U> Clone for FromAsync<F, U> {
    fn clone(&self) -> Self {
        Self::new(self.closure.clone())
    }
}

impl<F, U> FromAsync<F, U> {
    pub(crate) fn new(closure: F) -> Self {
        Self {
            closure,
            output: PhantomData,
        }
    }
}

impl<T, U, F, A> AsyncFunction<T> for FromAsync<F, U>
where
    T: Data,
    U: Data,
    F: Fn(T) -> A + Send + Sync + 'static,
    A: Future<Output = Result<U>> + Send + 'static,
{
    type Output = U;

    fn invoke(&self, record: T) -> BoxFuture<'static, Result<Vec<U>>> {
        let answer = (self.closure)(record);
        answer.map(|answer| answer.map(|record| vec![record])).boxed()
    }
}
