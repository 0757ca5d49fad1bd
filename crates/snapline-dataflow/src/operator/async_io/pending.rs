//! Records whose results have not gone on yet.

use crate::async_io::ResultOrder;
use crate::link::TimeSignal;
use snapline_core::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// What an operator has taken and not sent on: records, and what stands between them.
#[derive(Debug)]
pub(super) struct Pending<T, U> {
    order: ResultOrder,
    /// By their place in the stream.
    waiting: BTreeMap<Place, Waiting<T, U>>,
    next: Place,
    /// The first record that was not asked about.
    unasked: Place,
    /// How many records were asked about and have not gone on.
    asked: usize,
    marks: VecDeque<Place>,
    /// Those in front of the first mark whose results are known, in the order in which they became known. Only
    /// without the order of the records.
    known: VecDeque<Place>,
}

/// How many elements have come before.
pub(super) type Place = u64;

#[derive(Debug)]
enum Waiting<T, U> {
    Record {
        taken: Taken<T>,
        results: Option<Vec<U>>,
    },
    Mark(TimeSignal),
}

/// A record as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken<T> {
    pub(super) record: T,
    pub(super) timestamp: Option<Timestamp>,
}

/// What may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released<U> {
    Results(Vec<U>, Option<Timestamp>),
    Mark(TimeSignal),
}

/// What stands in the way of what comes next, as a snapshot sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element<'a, T> {
    Record(&'a Taken<T>),
    Mark(TimeSignal),
}

impl<T, U> Pending<T, U> {
    pub(super) fn new(order: ResultOrder) -> Self {
        Self {
            order,
            waiting: BTreeMap::new(),
            next: 0,
            unasked: 0,
            asked: 0,
            marks: VecDeque::new(),
            known: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many records were asked about and have not gone on.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// Whether there are records that were not asked about.
    pub(super) fn has_unasked(&self) -> bool {
        let mut rest = self.waiting.range(self.unasked..);
        rest.any(|(_, waiting)| matches!(waiting, Waiting::Record { .. }))
    }

    pub(super) fn push(&mut self, taken: Taken<T>) {
        self.insert(Waiting::Record { taken, results: None });
    }

    pub(super) fn mark(&mut self, mark: TimeSignal) {
        self.marks.push_back(self.next);
        self.insert(Waiting::Mark(mark));
    }

    fn insert(&mut self, waiting: Waiting<T, U>) {
        self.waiting.insert(self.next, waiting);
        self.next += 1;
    }

    /// The next record to ask about.
    pub(super) fn ask(&mut self) -> Option<(Place, &Taken<T>)> {
        let mut rest = self.waiting.range(self.unasked..);
        let (place, taken) = rest.find_map(|(place, waiting)| match waiting {
            Waiting::Record { taken, .. } => Some((*place, taken)),
            Waiting::Mark(_) => None,
        })?;
        self.unasked = place + 1;
        self.asked += 1;
        Some((place, taken))
    }

    /// A record that has not gone on.
    pub(super) fn taken(&self, place: Place) -> Option<&Taken<T>> {
        match self.waiting.get(&place)? {
            Waiting::Record { taken, .. } => Some(taken),
            Waiting::Mark(_) => None,
        }
    }

    /// The results of a record are known.
    pub(super) fn answer(&mut self, place: Place, answer: Vec<U>) {
        let Some(Waiting::Record { results, .. }) = self.waiting.get_mut(&place) else {
            return;
        };
        *results = Some(answer);
        let is_in_front = self.marks.front().is_none_or(|mark| place < *mark);
        if self.order == ResultOrder::OfAnswers && is_in_front {
            self.known.push_back(place);
        }
    }

    /// Takes out what may go on next.
    pub(super) fn release(&mut self) -> Option<Released<U>> {
        let place = match self.order {
            ResultOrder::OfRecords => self.first(),
            ResultOrder::OfAnswers => self.known.pop_front().or_else(|| self.first()),
        }?;
        let may_go = match self.waiting.get(&place)? {
            Waiting::Record { results, .. } => results.is_some(),
            Waiting::Mark(_) => true,
        };
        match may_go.then(|| self.waiting.remove(&place)).flatten()? {
            Waiting::Record { taken, results } => {
                self.asked -= 1;
                Some(Released::Results(results.unwrap_or_default(), taken.timestamp))
            }
            Waiting::Mark(mark) => {
                self.pass_mark();
                Some(Released::Mark(mark))
            }
        }
    }

    fn first(&self) -> Option<Place> {
        self.waiting.first_key_value().map(|(place, _)| *place)
    }

    /// The first mark goes on: what is known of the records up to the next one may follow.
    fn pass_mark(&mut self) {
        self.marks.pop_front();
        if self.order == ResultOrder::OfRecords {
            return;
        }
        let end = self.marks.front().copied().unwrap_or(Place::MAX);
        let known = self.waiting.range(..end).filter_map(|(place, waiting)| {
            matches!(waiting, Waiting::Record { results: Some(_), .. }).then_some(*place)
        });
        self.known = known.collect();
    }

    /// All that has not gone on, in the order in which it came.
    pub(super) fn elements(&self) -> impl Iterator<Item = Element<'_, T>> {
        self.waiting.values().map(|waiting| match waiting {
            Waiting::Record { taken, .. } => Element::Record(taken),
            Waiting::Mark(mark) => Element::Mark(*mark),
        })
    }
}

#[cfg(test)]
mod tests;
