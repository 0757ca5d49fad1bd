//! What a program says about a state when it registers it.

use std::fmt;
use std::marker::PhantomData;

/// The name of a state and the version of its schema; `V` is the type of the stored values.
///
/// A name is a descriptor of version 1, so `"counts"` can stand wherever a descriptor is wanted.
///
/// ```
/// use snapline_state::StateDescriptor;
///
/// let counts: StateDescriptor<u64> = "counts".into();
/// assert_eq!((counts.name(), counts.schema_version()), ("counts", 1));
/// ```
#[derive(Clone)]
pub struct StateDescriptor<V> {
    name: String,
    version: u32,
    values: PhantomData<fn() -> V>,
}

impl<V> StateDescriptor<V> {
    /// The state of this name, version 1.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: 1,
            values: PhantomData,
        }
    }

    /// The name by which the state is found again.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the schema.
    pub fn schema_version(&self) -> u32 {
        self.version
    }
}

impl<V> From<&str> for StateDescriptor<V> {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl<V> From<String> for StateDescriptor<V> {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl<V> fmt::Debug for StateDescriptor<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDescriptor")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
