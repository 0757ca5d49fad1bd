//! What a workload must arrive at, computed in another way.

use crate::components::{Graph, membership};
use crate::keys::Keys;
use crate::windowed::{Timed, Windows, weight};
use std::collections::HashMap;

/// What a counting sink has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many updates there were.
    pub updates: u64,
    /// The sum of all running counts, modulo 2^64.
    pub sum: u64,
}

impl Totals {
    /// One more update.
    #[inline]
    pub fn add(&mut self, running: u64) {
        self.updates += 1;
        self.sum = self.sum.wrapping_add(running);
    }

    /// What both have seen.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            updates: self.updates + other.updates,
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// A key that is counted `count` times emits 1, 2, ... `count`.
    fn of_key(count: u64) -> Self {
        Self {
            updates: count,
            sum: u64::try_from(u128::from(count) * u128::from(count + 1) / 2).unwrap_or(u64::MAX),
        }
    }
}

/// The totals of counting the words of `text`.
pub fn expect_word_count(text: &str) -> Totals {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for line in text.lines() {
        let line = line.to_lowercase();
        for word in line
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.to_owned(), 1)),
            }
        }
    }
    counts
        .into_values()
        .map(Totals::of_key)
        .fold(Totals::default(), Totals::and)
}

/// The totals of `records` records of value 1.
pub fn expect_keyed_sum(records: u64, keys: Keys) -> Totals {
    let mut counts = vec![0_u32; usize::try_from(keys.count()).unwrap_or(usize::MAX)];
    for index in 0..records {
        counts[keys.key(index) as usize] += 1;
    }
    let counts = counts.into_iter().map(u64::from);
    counts.map(Totals::of_key).fold(Totals::default(), Totals::and)
}

/// The totals of the component of each vertex that has an edge: a search from each that was not found yet, the least first.
pub fn expect_components(graph: Graph) -> Totals {
    let neighbours = neighbours(graph);
    let mut is_found = vec![false; neighbours.len()];
    let mut totals = Totals::default();
    for least in 0..neighbours.len() {
        if is_found[least] || neighbours[least].is_empty() {
            continue;
        }
        is_found[least] = true;
        let mut open = vec![least];
        while let Some(vertex) = open.pop() {
            totals.add(membership(vertex as u64, least as u64));
            for other in &neighbours[vertex] {
                let other = *other as usize;
                if !std::mem::replace(&mut is_found[other], true) {
                    open.push(other);
                }
            }
        }
    }
    totals
}

fn neighbours(graph: Graph) -> Vec<Vec<u64>> {
    let mut neighbours = vec![Vec::new(); usize::try_from(graph.vertices).unwrap_or(usize::MAX)];
    for index in 0..graph.edges {
        let (one, other) = graph.edge(index);
        neighbours[one as usize].push(other);
        neighbours[other as usize].push(one);
    }
    neighbours
}

/// The totals of counting records by key and window.
pub fn expect_windows(windows: Windows, timed: Timed) -> Totals {
    let keys = usize::try_from(timed.keys).unwrap_or(usize::MAX);
    match windows {
        Windows::Tumbling(size) => expect_sums(&slices(size, timed), 1),
        Windows::Sliding(size, slide) => {
            let in_window = usize::try_from(size / slide).unwrap_or(usize::MAX);
            expect_sums(&slices(slide, timed), in_window)
        }
        Windows::Sessions(gap) => {
            let mut totals = Totals::default();
            let (mut last, mut counts) = (vec![0; keys], vec![0_u64; keys]);
            for index in 0..timed.records {
                let (key, at) = timed.record(index);
                let key = key as usize;
                if counts[key] > 0 && at - last[key] > gap {
                    totals.add(weight(counts[key]));
                    counts[key] = 0;
                }
                (last[key], counts[key]) = (at, counts[key] + 1);
            }
            counts
                .into_iter()
                .filter(|count| *count > 0)
                .for_each(|count| totals.add(weight(count)));
            totals
        }
    }
}

/// How often each key comes in each slice of time.
fn slices(slice: u64, timed: Timed) -> Vec<Vec<u32>> {
    let mut slices: Vec<Vec<u32>> = Vec::new();
    for index in 0..timed.records {
        let (key, at) = timed.record(index);
        let at = (at / slice) as usize;
        slices.resize_with(slices.len().max(at + 1), || vec![0; timed.keys as usize]);
        slices[at][key as usize] += 1;
    }
    slices
}

/// The totals of windows of `in_window` slices each, one for each slice with which one may end.
fn expect_sums(slices: &[Vec<u32>], in_window: usize) -> Totals {
    let mut totals = Totals::default();
    let keys = slices.first().map_or(0, Vec::len);
    let mut sums = vec![0_u64; keys];
    for end in 0..slices.len() + in_window - 1 {
        for (key, sum) in sums.iter_mut().enumerate() {
            *sum += slices.get(end).map_or(0, |slice| u64::from(slice[key]));
            if *sum > 0 {
                totals.add(weight(*sum));
            }
            let gone = (end + 1).checked_sub(in_window).and_then(|gone| slices.get(gone));
            *sum -= gone.map_or(0, |slice| u64::from(slice[key]));
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_counts_add_up() {
        let totals = expect_word_count("The the, cat!\nTHE cat");
        assert_eq!(
            totals,
            Totals {
                updates: 5,
                sum: 1 + 2 + 3 + 1 + 2
            }
        );
        let one = Keys::Uniform { count: 1 };
        assert_eq!(expect_keyed_sum(5, one), Totals { updates: 5, sum: 15 });
    }
}
