//! Against a list that is searched.

use super::*;
use proptest::prelude::*;
use snapline_core::Watermark;

/// What the stream has, in its order, as a list that is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modelled {
    Waiting { is_asked: bool },
    Answered,
    Mark,
    Gone,
}

/// The places of what may go on next, by the rules alone: any of those without the order of the records.
fn may_go(model: &[Modelled], order: ResultOrder) -> Vec<usize> {
    let there = |place: &usize| model[*place] != Modelled::Gone;
    let mut rest = (0..model.len()).filter(there).peekable();
    match (order, rest.peek()) {
        (_, Some(first)) if model[*first] == Modelled::Mark => vec![*first],
        (ResultOrder::OfRecords, Some(first)) if model[*first] == Modelled::Answered => vec![*first],
        (ResultOrder::OfAnswers, Some(_)) => rest
            .take_while(|place| model[*place] != Modelled::Mark)
            .filter(|place| model[*place] == Modelled::Answered)
            .collect(),
        _ => Vec::new(),
    }
}

/// A record is its place, and so is its result.
fn released(pending: &mut Pending<u64, u64>, watermark_of: impl Fn(usize) -> TimeSignal) -> Option<usize> {
    match pending.release()? {
        Released::Results(results, timestamp) => {
            assert_eq!(timestamp, Some(Timestamp(results[0] as i64)));
            Some(results[0] as usize)
        }
        Released::Mark(TimeSignal::Watermark(watermark)) => {
            let place = watermark.0.0 as usize;
            assert_eq!(watermark_of(place), TimeSignal::Watermark(watermark));
            Some(place)
        }
        Released::Mark(_) => None,
    }
}

fn watermark(place: usize) -> TimeSignal {
    TimeSignal::Watermark(Watermark(Timestamp(place as i64)))
}

fn asked(model: &[Modelled]) -> Vec<usize> {
    let is_asked = |place: &usize| model[*place] == Modelled::Waiting { is_asked: true };
    (0..model.len()).filter(is_asked).collect()
}

proptest! {
    #[test]
    fn everything_goes_on_once_and_in_the_order_that_was_chosen(
        in_order in any::<bool>(),
        steps in prop::collection::vec((0..6_u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let order = if in_order { ResultOrder::OfRecords } else { ResultOrder::OfAnswers };
        let mut pending = Pending::new(order);
        let mut model = Vec::new();
        for (step, choice) in steps {
            match step {
                0 | 1 => {
                    let record = model.len() as u64;
                    let timestamp = Some(Timestamp(record as i64));
                    pending.push(Taken { record, timestamp });
                    model.push(Modelled::Waiting { is_asked: false });
                }
                2 => {
                    pending.mark(watermark(model.len()));
                    model.push(Modelled::Mark);
                }
                3 => {
                    let place = model.iter().position(|element| *element == Modelled::Waiting { is_asked: false });
                    prop_assert_eq!(pending.has_unasked(), place.is_some());
                    prop_assert_eq!(pending.ask().map(|(place, taken)| (place, taken.record)), place.map(|place| (place as u64, place as u64)));
                    place.into_iter().for_each(|place| model[place] = Modelled::Waiting { is_asked: true });
                }
                4 => {
                    let open = asked(&model);
                    if !open.is_empty() {
                        let place = *choice.get(&open);
                        pending.answer(place as u64, vec![place as u64]);
                        model[place] = Modelled::Answered;
                    }
                }
                _ => {
                    let may_go = may_go(&model, order);
                    let gone = released(&mut pending, watermark);
                    prop_assert_eq!(gone.is_some(), !may_go.is_empty());
                    if let Some(place) = gone {
                        prop_assert!(may_go.contains(&place));
                        model[place] = Modelled::Gone;
                    }
                }
            }
            let there: Vec<usize> = (0..model.len()).filter(|place| model[*place] != Modelled::Gone).collect();
            let seen = pending.elements().map(|element| match element {
                Element::Record(taken) => taken.record as usize,
                Element::Mark(TimeSignal::Watermark(watermark)) => watermark.0.0 as usize,
                Element::Mark(_) => usize::MAX,
            });
            prop_assert_eq!(seen.collect::<Vec<_>>(), there);
            let answered = model.iter().filter(|element| **element == Modelled::Answered).count();
            prop_assert_eq!(pending.asked(), asked(&model).len() + answered);
        }
    }
}
