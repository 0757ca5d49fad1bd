//! The ways to deal records out, and which subtasks they connect.

use std::ops::Range;

/// How records are dealt out to the subtasks of the next operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partitioning {
    /// The program says nothing: [`Forward`](Self::Forward) where the parallelism is the same, and
    /// [`Rebalance`](Self::Rebalance) elsewhere. A planned job has one of these two instead.
    Unspecified,
    /// Subtask i to subtask i.
    Forward,
    /// One record after the other to one subtask after the other.
    Rebalance,
    /// The same among the few subtasks that a subtask is connected with.
    Rescale,
    /// By chance.
    Shuffle,
    /// By key group.
    Hash,
    /// Every record to all subtasks.
    Broadcast,
    /// All records to the first subtask.
    Global,
    /// By a function of the program.
    Custom,
}

impl Partitioning {
    /// Whether each subtask is connected with some of the next operator only. What is in flight there cannot be dealt out
    /// anew (FLIP-76).
    pub fn is_pointwise(self) -> bool {
        matches!(self, Self::Unspecified | Self::Forward | Self::Rescale)
    }

    /// The subtasks, of so many, that are connected with one of the next operator.
    pub fn senders(self, to: u32, senders: u32, receivers: u32) -> Range<u32> {
        if !self.is_pointwise() {
            return 0..senders;
        }
        let border = |receiver: u32| (u64::from(receiver) * u64::from(senders) / u64::from(receivers)) as u32;
        border(to)..border(to + 1).max(border(to) + 1)
    }

    /// The subtasks of the next operator, of so many, that a subtask is connected with.
    pub fn receivers(self, from: u32, senders: u32, receivers: u32) -> Range<u32> {
        if !self.is_pointwise() {
            return 0..receivers;
        }
        let (from, senders, receivers) = (u64::from(from), u64::from(senders), u64::from(receivers));
        if senders > receivers {
            let to = (((from + 1) * receivers - 1) / senders) as u32;
            return to..to + 1;
        }
        let border = |sender: u64| (sender * receivers).div_ceil(senders) as u32;
        border(from)..border(from + 1)
    }

    /// Its name in plans.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Forward => "forward",
            Self::Rebalance => "rebalance",
            Self::Rescale => "rescale",
            Self::Shuffle => "shuffle",
            Self::Hash => "hash",
            Self::Broadcast => "broadcast",
            Self::Global => "global",
            Self::Custom => "custom",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_pointwise_edge_agree_on_its_channels_and_nobody_is_left_out() {
        let rescale = Partitioning::Rescale;
        for senders in 1..=12 {
            for receivers in 1..=12 {
                for to in 0..receivers {
                    let found = rescale.senders(to, senders, receivers);
                    let sends = |from: &u32| rescale.receivers(*from, senders, receivers).contains(&to);
                    assert!(
                        (0..senders).filter(sends).eq(found.clone()),
                        "{senders}->{receivers}, to {to}"
                    );
                    assert!(!found.is_empty() && found.len() as u32 <= senders.div_ceil(receivers).max(1));
                }
                assert!((0..senders).all(|from| !rescale.receivers(from, senders, receivers).is_empty()));
            }
        }
    }

    #[test]
    fn a_pointwise_edge_connects_neighbours() {
        let receivers = |senders, receivers| -> Vec<Range<u32>> {
            (0..senders)
                .map(|from| Partitioning::Rescale.receivers(from, senders, receivers))
                .collect()
        };
        assert_eq!(receivers(2, 4), [0..2, 2..4]);
        assert_eq!(receivers(4, 2), [0..1, 0..1, 1..2, 1..2]);
        assert_eq!(receivers(2, 3), [0..2, 2..3]);
        assert_eq!(receivers(3, 2), [0..1, 1..2, 1..2]);
        assert_eq!(receivers(3, 3), [0..1, 1..2, 2..3]);
    }
}
