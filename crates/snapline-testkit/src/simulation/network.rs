//! Channels whose messages take their time, and overtake those of other channels.

use super::dice::Dice;
use super::fate::Fate;
use super::time::Time;
use snapline_core::{SubtaskId, stable_hash_bytes};
use snapline_runtime::Network;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The longest time for which a delivery is held up, in microseconds.
const LONGEST_DELAY: u64 = 5_000;

#[derive(Debug)]
pub(crate) struct SimNetwork {
    time: Arc<Time>,
    fate: Arc<Fate>,
    dice: Dice,
    /// One channel in so many is slow for the whole run; none when 0.
    slow: u64,
    salt: u64,
}

impl SimNetwork {
    pub(crate) fn new(time: Arc<Time>, fate: Arc<Fate>, seed: u64) -> Self {
        let dice = Dice::new(seed, "network");
        let slow = dice.below(4);
        let salt = dice.number();
        Self {
            time,
            fate,
            dice,
            slow,
            salt,
        }
    }

    fn is_slow(&self, task: &SubtaskId, channel: usize) -> bool {
        let name = stable_hash_bytes(task.operator.as_str().as_bytes());
        let number = self.salt ^ name ^ (u64::from(task.index.0) << 32) ^ channel as u64;
        self.slow > 0 && stable_hash_bytes(&number.to_le_bytes()).is_multiple_of(self.slow)
    }
}

impl Network for SimNetwork {
    fn poll_turn(&self, task: &SubtaskId, ready: &[usize], cx: &mut Context<'_>) -> Poll<usize> {
        if self.fate.delays_a_step() {
            self.time
                .wake_after(self.dice.scale(LONGEST_DELAY), cx.waker().clone());
            return Poll::Pending;
        }
        let turn = self.dice.below(ready.len() as u64) as usize;
        let is_fast = |turn: &usize| !self.is_slow(task, ready[*turn]);
        if is_fast(&turn) || self.dice.one_in(8) {
            return Poll::Ready(turn);
        }
        Poll::Ready((0..ready.len()).find(is_fast).unwrap_or(turn))
    }
}
