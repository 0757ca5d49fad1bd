//! Which keys have a window that ends, and when.

use snapline_core::Watermark;
use std::collections::BTreeMap;

/// The keys of which a window ends, by the end of the window. A key may stand here twice: what counts is what its
/// state says.
#[derive(Debug)]
pub(super) struct Ends<K> {
    keys: BTreeMap<i64, Vec<(u64, K)>>,
}

impl<K> Default for Ends<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
        }
    }
}

impl<K> Ends<K> {
    #[inline]
    pub(super) fn add(&mut self, end: i64, hash: u64, key: K) {
        self.keys.entry(end).or_default().push((hash, key));
    }

    /// Takes keys of the earliest window that has ended, so many at the most, and its end.
    pub(super) fn take(&mut self, watermark: Watermark, limit: usize) -> Option<(i64, Vec<(u64, K)>)> {
        let mut first = self.keys.first_entry()?;
        let end = *first.key();
        if end - 1 > watermark.0.0 {
            return None;
        }
        let keys = first.get_mut();
        if keys.len() <= limit {
            return Some((end, first.remove()));
        }
        let rest = keys.split_off(limit);
        Some((end, std::mem::replace(keys, rest)))
    }
}
