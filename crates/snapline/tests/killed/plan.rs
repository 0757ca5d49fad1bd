//! What happens when.

use std::fmt;
use std::time::Duration;

/// The longest time between two acts.
const LONGEST_MS: u64 = 700;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The job is killed.
    Kill,
    /// The server crashes and starts again.
    Restart,
}

pub(crate) struct Plan {
    kills: u64,
    restarts: u64,
    random: u64,
    counts: [u64; 2],
}

impl Plan {
    /// As the environment says; of what cannot restart, only the jobs are killed.
    pub(crate) fn read(can_restart: bool) -> Self {
        let seed = variable("SEED").unwrap_or(1);
        println!("SNAPLINE_CHAOS_SEED={seed}");
        Self {
            kills: variable("KILLS").unwrap_or(6),
            restarts: if can_restart {
                variable("RESTARTS").unwrap_or(2)
            } else {
                0
            },
            random: seed,
            counts: [0; 2],
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.counts[0] >= self.kills && self.counts[1] >= self.restarts
    }

    /// What is to happen, and after how long; `None` when all was done.
    pub(crate) fn next(&mut self) -> Option<(Act, Duration)> {
        let after = Duration::from_millis(self.draw() % LONGEST_MS);
        let left = [
            self.kills.saturating_sub(self.counts[0]),
            self.restarts.saturating_sub(self.counts[1]),
        ];
        let all = left[0] + left[1];
        let act = match all {
            0 => return None,
            _ if self.draw() % all < left[0] => Act::Kill,
            _ => Act::Restart,
        };
        Some((act, after))
    }

    pub(crate) fn done(&mut self, act: Act) {
        self.counts[usize::from(act == Act::Restart)] += 1;
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kills, restarts] = self.counts;
        write!(f, "{kills} kills and {restarts} restarts of the server so far")
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(format!("SNAPLINE_CHAOS_{name}")).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("SNAPLINE_CHAOS_{name} must be a number, not {value:?}")))
}
