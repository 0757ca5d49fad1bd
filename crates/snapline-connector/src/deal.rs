//! Which reader reads which splits.

use crate::source::SourceSplit;

/// Deals splits out to readers, now and later: the heaviest first, each to the reader that was given the least so far.
#[derive(Debug, Clone)]
pub struct SplitDealer {
    /// What each reader was given: weights, and a number.
    given: Vec<(u64, usize)>,
}

impl SplitDealer {
    /// Of so many readers, at least 1, none has anything.
    pub fn new(readers: usize) -> Self {
        Self {
            given: vec![(0, 0); readers],
        }
    }

    /// A reader has these splits already.
    pub fn note<S: SourceSplit>(&mut self, reader: usize, splits: &[S]) {
        if let Some((weight, count)) = self.given.get_mut(reader) {
            let more = splits.iter().map(SourceSplit::weight);
            *weight = more.fold(*weight, u64::saturating_add);
            *count += splits.len();
        }
    }

    /// The splits for each reader.
    pub fn deal<S: SourceSplit>(&mut self, mut splits: Vec<S>) -> Vec<Vec<S>> {
        splits.sort_by_key(|split| std::cmp::Reverse(split.weight()));
        let mut dealt: Vec<Vec<S>> = self.given.iter().map(|_| Vec::new()).collect();
        for split in splits {
            let readers = self.given.iter_mut().zip(&mut dealt);
            let Some(((weight, count), list)) = readers.min_by_key(|(given, _)| **given) else {
                break;
            };
            *weight = weight.saturating_add(split.weight());
            *count += 1;
            list.push(split);
        }
        dealt
    }
}

/// Deals all splits of a source out to readers: the heaviest first, each to the reader with the least so far.
///
/// The result has one list for each of the `parallelism` readers, which is at least 1.
pub fn deal_splits<S: SourceSplit>(splits: Vec<S>, parallelism: usize) -> Vec<Vec<S>> {
    SplitDealer::new(parallelism).deal(splits)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SourceSplit for u64 {
        fn weight(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn splits_are_dealt_out_evenly_by_weight() {
        let cases: [(&[u64], usize, &[&[u64]]); 4] = [
            (&[1, 2, 3, 4], 2, &[&[4, 1], &[3, 2]]),
            (&[5], 3, &[&[5], &[], &[]]),
            (&[], 2, &[&[], &[]]),
            (&[0, 0, 0], 2, &[&[0, 0], &[0]]),
        ];
        for (splits, parallelism, expected) in cases {
            assert_eq!(deal_splits(splits.to_vec(), parallelism), expected);
        }
    }

    #[test]
    fn splits_that_come_later_go_to_those_who_were_given_less() {
        let mut dealer = SplitDealer::new(3);
        dealer.note(1, &[2_u64, 2]);
        assert_eq!(dealer.deal(vec![3_u64]), [vec![3], vec![], vec![]]);
        assert_eq!(dealer.deal(vec![1_u64]), [vec![], vec![], vec![1]]);
        assert_eq!(dealer.deal(vec![1_u64, 5]), [vec![1], vec![], vec![5]]);
    }
}
