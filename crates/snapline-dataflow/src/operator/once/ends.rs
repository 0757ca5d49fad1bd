//! Which keys have a window that ends, and when.

use snapline_core::Watermark;
use std::collections::BTreeMap;
use std::vec::IntoIter;

/// The keys of which a window ends, by the end of the window. A key may stand here twice: what counts is what its
/// state says.
#[derive(Debug)]
pub(in crate::operator) struct Ends<K> {
    keys: BTreeMap<i64, Vec<(u64, K)>>,
    /// What is left of a window that has ended, of which some keys were taken.
    ended: Option<(i64, IntoIter<(u64, K)>)>,
}

impl<K> Default for Ends<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            ended: None,
        }
    }
}

impl<K> Ends<K> {
    #[inline]
    pub(in crate::operator) fn add(&mut self, end: i64, hash: u64, key: K) {
        self.keys.entry(end).or_default().push((hash, key));
    }

    /// Whether there is a key of which a window has ended.
    pub(in crate::operator) fn has_ended(&self, watermark: Watermark) -> bool {
        let first = self.keys.first_key_value();
        self.ended.is_some() || first.is_some_and(|(end, _)| end - 1 <= watermark.0.0)
    }

    /// Takes keys of the earliest window that has ended, so many at the most, and its end.
    pub(in crate::operator) fn take(
        &mut self,
        watermark: Watermark,
        limit: usize,
    ) -> Option<(i64, Vec<(u64, K)>)> {
        if self.ended.is_none() {
            let first = self.keys.first_entry()?;
            if first.key() - 1 > watermark.0.0 {
                return None;
            }
            let (end, keys) = first.remove_entry();
            self.ended = Some((end, keys.into_iter()));
        }
        let (end, keys) = self.ended.as_mut()?;
        let taken = (*end, keys.by_ref().take(limit).collect());
        if keys.as_slice().is_empty() {
            self.ended = None;
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::Timestamp;

    #[test]
    fn the_keys_of_windows_that_have_ended_come_in_order_a_few_at_a_time() {
        let mut ends = Ends::default();
        for (end, key) in [(20, 'd'), (10, 'a'), (10, 'b'), (10, 'c'), (30, 'e')] {
            ends.add(end, 0, key);
        }
        let mut take = |watermark| {
            let taken = ends.take(Watermark(Timestamp(watermark)), 2);
            taken.map(|(end, keys)| (end, keys.into_iter().map(|(_, key)| key).collect::<String>()))
        };
        assert_eq!(take(8), None);
        assert_eq!(take(9), Some((10, "ab".to_owned())));
        assert_eq!(take(20), Some((10, "c".to_owned())));
        assert_eq!(take(20), Some((20, "d".to_owned())));
        assert_eq!(take(20), None);
        assert_eq!(take(29), Some((30, "e".to_owned())));
    }
}
