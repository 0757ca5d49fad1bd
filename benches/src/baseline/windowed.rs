//! Counts by key and window, by hand: the records come in the order of their times.

use crate::baseline::keyed_sum::PlainMap;
use crate::windowed::{Timed, Windows};
use std::collections::VecDeque;

/// Counts records by key and window and hands each key with its count to `sink` when the window has ended.
pub fn count_windows(windows: Windows, timed: Timed, sink: impl FnMut(u64, u64)) {
    match windows {
        Windows::Tumbling(size) => tumbling(size, timed, sink),
        Windows::Sliding(size, slide) => sliding(size, slide, timed, sink),
        Windows::Sessions(gap) => sessions(gap, timed, sink),
    }
}

fn tumbling(size: u64, timed: Timed, mut sink: impl FnMut(u64, u64)) {
    let mut counts: PlainMap<u64> = PlainMap::default();
    let mut end = size;
    for index in 0..timed.records {
        let (key, at) = timed.record(index);
        if at >= end {
            counts.drain().for_each(|(key, count)| sink(key, count));
            end = (at / size + 1) * size;
        }
        *counts.entry(key).or_insert(0) += 1;
    }
    counts.drain().for_each(|(key, count)| sink(key, count));
}

/// Keeps a running total per key: a slice comes in when it has ended, and goes out when no window has it.
fn sliding(size: u64, slide: u64, timed: Timed, mut sink: impl FnMut(u64, u64)) {
    let in_window = usize::try_from(size / slide).unwrap_or(usize::MAX);
    let mut totals: PlainMap<u64> = PlainMap::default();
    let mut slices: VecDeque<PlainMap<u64>> = VecDeque::new();
    let mut current: PlainMap<u64> = PlainMap::default();
    let mut step = |current: PlainMap<u64>| {
        for (key, count) in &current {
            *totals.entry(*key).or_insert(0) += count;
        }
        slices.push_back(current);
        totals.iter().for_each(|(key, count)| sink(*key, *count));
        if slices.len() < in_window {
            return true;
        }
        for (key, count) in slices.pop_front().unwrap_or_default() {
            if let Some(total) = totals.get_mut(&key) {
                *total -= count;
                if *total == 0 {
                    totals.remove(&key);
                }
            }
        }
        !totals.is_empty()
    };
    let mut end = slide;
    for index in 0..timed.records {
        let (key, at) = timed.record(index);
        while at >= end {
            step(std::mem::take(&mut current));
            end += slide;
        }
        *current.entry(key).or_insert(0) += 1;
    }
    while step(std::mem::take(&mut current)) {}
}

fn sessions(gap: u64, timed: Timed, mut sink: impl FnMut(u64, u64)) {
    let mut open: PlainMap<(u64, u64)> = PlainMap::default();
    for index in 0..timed.records {
        let (key, at) = timed.record(index);
        let (last, count) = open.entry(key).or_insert((at, 0));
        if at > *last + gap {
            sink(key, *count);
            *count = 0;
        }
        *last = at;
        *count += 1;
    }
    open.into_iter().for_each(|(key, (_, count))| sink(key, count));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::{Totals, expect_windows};
    use crate::windowed::weight;

    #[test]
    fn all_ways_to_cut_a_stream_arrive_at_what_is_expected() {
        let timed = |records, keys| Timed {
            records,
            keys,
            events_per_ms: 3,
            tick_ms: 2,
        };
        for (records, keys) in [(0, 1), (1, 1), (1000, 1), (10_000, 7), (3000, 900)] {
            for windows in [
                Windows::Tumbling(10),
                Windows::Sliding(60, 10),
                Windows::Sessions(5),
            ] {
                let mut totals = Totals::default();
                count_windows(windows, timed(records, keys), |_, count| {
                    totals.add(weight(count))
                });
                assert_eq!(
                    totals,
                    expect_windows(windows, timed(records, keys)),
                    "{windows:?} {records} {keys}"
                );
            }
        }
    }
}
