//! Names of side outputs.

use std::marker::PhantomData;

/// The name of a side output and the type of its records.
///
/// Functions send records there by [`Collector::side_output`]; [`DataStream::side_output`] then finds the stream. An
/// operator knows a side output by its name: two of one name are one.
///
/// [`Collector::side_output`]: crate::Collector::side_output
/// [`DataStream::side_output`]: crate::DataStream::side_output
///
/// ```
/// use snapline_dataflow::OutputTag;
///
/// let late = OutputTag::<(String, u64)>::new("late");
/// assert_eq!(late.name(), "late");
/// ```
#[derive(Debug)]
pub struct OutputTag<T> {
    name: String,
    records: PhantomData<fn() -> T>,
}

impl<T> OutputTag<T> {
    /// The side output of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            records: PhantomData,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T> Clone for OutputTag<T> {
    fn clone(&self) -> Self {
        Self::new(self.name.clone())
    }
}
