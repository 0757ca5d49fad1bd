//! Records get their key and its hash.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::located::Place;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Error, Key, Keyed, Result, StableHasher};
use std::marker::PhantomData;
use std::task::{Context, Poll};

pub(crate) struct KeyBy<F, K, T> {
    selector: F,
    types: PhantomData<fn(T) -> K>,
}

impl<F, K, T> KeyBy<F, K, T> {
    pub(crate) fn new(selector: F) -> Self {
        Self {
            selector,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<K: Key, T: Data, F: FnMut(&T) -> K + Clone + Send + Sync + 'static> OperatorFactory for KeyBy<F, K, T> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let keyed = Batch {
            hashes: Some(Vec::new()),
            ..Batch::new()
        };
        let link = KeyByLink {
            selector: self.selector.clone(),
            hasher: StableHasher::new(),
            keyed,
            has_keys: false,
            next: next.typed()?,
        };
        Ok(Place::of(&context).link::<T>(link))
    }
}

struct KeyByLink<F, K, T> {
    selector: F,
    hasher: StableHasher,
    keyed: Batch<Keyed<K, T>>,
    /// Whether the records of the newest batch all have their keys.
    has_keys: bool,
    next: Next<Keyed<K, T>>,
}

impl<F, K: Key, T> KeyByLink<F, K, T> {
    /// Tries whether a key is what it should be: one of each batch, for that costs little. A type whose keys are not equal to
    /// themselves would fill its state with entries that nobody finds again.
    fn try_one_key(&mut self) -> Result<()> {
        let hashes = self.keyed.hashes.iter().flatten();
        let Some((Keyed { key, .. }, hash)) = self.keyed.records.iter().zip(hashes).next() else {
            return Ok(());
        };
        if key.clone() != *key {
            return Err(Error::invalid(
                "a key is not equal to its copy; its `Eq` must say that it is, as a number that is none would not",
            ));
        }
        if self.hasher.hash(&key.clone())? != *hash {
            return Err(Error::invalid(
                "a key is not encoded as its copy is; its `Serialize` must write the same each time, and what is in a set or \
                 a map in a fixed order",
            ));
        }
        Ok(())
    }
}

impl<K: Key, T: Data, F: FnMut(&T) -> K + Send> Link<T> for KeyByLink<F, K, T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.has_keys = false;
        let hashes = self.keyed.hashes.get_or_insert_default();
        let keyed = batch.records.drain(..).map(|record| {
            let key = (self.selector)(&record);
            Keyed { key, record }
        });
        self.keyed.records.extend(keyed);
        self.has_keys = true;
        let keys = self.keyed.records.iter().map(|keyed| &keyed.key);
        self.hasher.hash_each(keys, hashes)?;
        self.try_one_key()?;
        self.keyed.timestamps = batch.timestamps.take();
        batch.clear();
        self.next.on_batch(&mut self.keyed)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_advance(cx)
    }

    fn taken(&self) -> Option<usize> {
        (!self.has_keys).then_some(self.keyed.len() + 1)
    }
}
