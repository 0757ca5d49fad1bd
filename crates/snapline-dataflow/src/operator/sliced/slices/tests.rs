//! Windows of slices against windows of records.

use super::*;
use crate::window::contents::{Aggregated, Reduced};
use snapline_state::AggregateFunction;

/// Sums of numbers that are all kept until then, so that what is stored grows.
#[derive(Clone)]
struct Kept;

impl AggregateFunction for Kept {
    type Input = u64;
    type Accumulator = Vec<u64>;
    type Output = u64;

    fn create_accumulator(&self) -> Vec<u64> {
        Vec::new()
    }

    fn add(&self, kept: &mut Vec<u64>, number: u64) {
        kept.push(number);
    }

    fn merge(&self, kept: &mut Vec<u64>, mut other: Vec<u64>) -> Result<()> {
        kept.append(&mut other);
        Ok(())
    }

    fn result(&self, kept: &Vec<u64>) -> u64 {
        kept.iter().sum()
    }
}

/// A size and a slide, in slices of 10.
fn check(size: i64, slide: i64, records: &[(i64, u64)]) {
    check_sums(
        &Reduced(|sum: &mut u64, more: u64| *sum += more),
        size,
        slide,
        records,
    );
    check_sums(&Aggregated(Kept), size, slide, records);
}

fn check_sums<C: Contents<u64, (), Output = u64>>(sums: &C, size: i64, slide: i64, records: &[(i64, u64)]) {
    let mut slices: Option<Slices<C::Stored>> = None;
    let mut so_far: Vec<(i64, u64)> = Vec::new();
    for (step, ten) in records.chunks(5).enumerate() {
        for (at, value) in ten {
            so_far.push((*at, *value));
            let start = at - at.rem_euclid(10);
            match &mut slices {
                None => slices = Some(Slices::new(0, start, sums.first(*value, Some(Timestamp(*at))))),
                Some(slices) => {
                    let add = slices.add(sums, start, *value, Timestamp(*at));
                    if let Some(value) = add {
                        let first = sums.first(value, Some(Timestamp(*at)));
                        slices.insert(sums, start, first).unwrap();
                    }
                }
            }
        }
        // A window ends, and some of the records of the next ones have come.
        let end = size + step as i64 * slide;
        let span = Span {
            start: end - size,
            end,
            kept_from: end - size + slide,
        };
        let Some(slices) = &mut slices else { continue };
        let window = slices.window(sums, span, &()).unwrap();
        let is_in = |(at, _): &&(i64, u64)| (span.start..span.end).contains(at);
        let inside: Vec<u64> = so_far.iter().filter(is_in).map(|(_, value)| *value).collect();
        let expected = (!inside.is_empty()).then(|| inside.iter().sum());
        assert_eq!(window, expected, "{size} {slide} {span:?} {so_far:?}");
        // What is in no later window may come no more.
        so_far.retain(|(at, _)| *at >= span.kept_from);
        assert_eq!(
            slices.oldest(),
            so_far.iter().map(|(at, _)| at - at.rem_euclid(10)).min()
        );
    }
}

/// Records around the ends of windows of this size, but for a few that are up to `late` slices earlier.
fn records(size: i64, count: usize, late: i64, mut seed: u64) -> Vec<(i64, u64)> {
    let mut next = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % bound
    };
    (0..count)
        .map(|index| {
            let behind = next(4).saturating_sub(2) as i64 * next(10 * late as u64 + 1) as i64;
            let step = (index / 5) as i64;
            // Not earlier than what the window that has ended last has kept.
            let at = (size + index as i64 * 2 + 10 - behind).max(step * 10);
            (at, next(1000))
        })
        .collect()
}

#[test]
fn windows_of_a_few_slices_have_what_windows_of_records_have() {
    for seed in 0..100 {
        for size in [10, 20, 60, 200] {
            check(size, 10, &records(size, 200, 3, seed));
            check(size, 10, &records(size, 200, 12, seed));
        }
    }
}

#[test]
fn windows_of_many_slices_have_what_windows_of_records_have() {
    for seed in 0..10 {
        check(1_500, 10, &records(1_500, 2_000, 12, seed));
        check(1_500, 10, &records(1_500, 2_000, 150, seed));
    }
}
