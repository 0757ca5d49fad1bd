//! Checkpoints that were asked for and have not started yet.

use snapline_core::CheckpointKind;
use std::collections::BTreeMap;
use std::fmt;

/// How many requests may wait.
const LIMIT: usize = 1000;

/// The number of one [`crate::CheckpointCoordinator::trigger`], unique within its coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The order in which requests start. Periodic checkpoints come after all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Savepoint,
    Checkpoint,
}

/// Requests in the order in which they start: savepoints before checkpoints, then by age.
#[derive(Debug, Clone)]
pub(crate) struct RequestQueue {
    queue: BTreeMap<(Priority, RequestId), CheckpointKind>,
    limit: usize,
    last: u64,
}

impl Default for RequestQueue {
    fn default() -> Self {
        Self::with_limit(LIMIT)
    }
}

impl RequestQueue {
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self {
            queue: BTreeMap::new(),
            limit,
            last: 0,
        }
    }

    /// A number that no request has had.
    pub(crate) fn next_id(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// Adds a request. When there are too many, the last in order has to go, which may be the new one.
    #[must_use]
    pub(crate) fn push(&mut self, request: RequestId, kind: CheckpointKind) -> Option<RequestId> {
        let priority = match kind.is_savepoint() {
            true => Priority::Savepoint,
            false => Priority::Checkpoint,
        };
        self.queue.insert((priority, request), kind);
        if self.queue.len() <= self.limit {
            return None;
        }
        self.queue.pop_last().map(|((_, evicted), _)| evicted)
    }

    /// What the first request is for. Nothing passes it, so that none waits for ever.
    pub(crate) fn first(&self) -> Option<CheckpointKind> {
        self.queue.first_key_value().map(|(_, kind)| *kind)
    }

    pub(crate) fn pop(&mut self) -> Option<(RequestId, CheckpointKind)> {
        self.queue.pop_first().map(|((_, request), kind)| (request, kind))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes out the requests of these kinds.
    pub(crate) fn take(&mut self, is_meant: impl Fn(CheckpointKind) -> bool) -> Vec<RequestId> {
        let taken = self.queue.extract_if(.., |_, kind| is_meant(*kind));
        taken.map(|((_, request), _)| request).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckpointKind::{Checkpoint, Drain, Savepoint, Suspend};

    /// Requests of these kinds are numbered from 1; returns who was evicted and who starts, in order.
    fn check(limit: usize, kinds: &[CheckpointKind], evicted: &[u64], started: &[u64]) {
        let mut queue = RequestQueue::with_limit(limit);
        let mut out = Vec::new();
        for kind in kinds {
            let id = queue.next_id();
            out.extend(queue.push(id, *kind));
        }
        assert_eq!(out, evicted.iter().copied().map(RequestId).collect::<Vec<_>>());
        let in_order = std::iter::from_fn(|| queue.pop()).map(|(request, _)| request.0);
        assert_eq!(in_order.collect::<Vec<_>>(), started);
    }

    #[test]
    fn savepoints_start_before_checkpoints_and_the_older_before_the_newer() {
        // C-21
        check(
            9,
            &[Checkpoint, Savepoint, Checkpoint, Suspend],
            &[],
            &[2, 4, 1, 3],
        );
    }

    #[test]
    fn the_last_in_order_has_to_go_when_there_are_too_many() {
        // C-19
        check(
            2,
            &[Checkpoint, Checkpoint, Checkpoint, Checkpoint],
            &[3, 4],
            &[1, 2],
        );
        check(
            2,
            &[Checkpoint, Savepoint, Savepoint, Checkpoint, Drain],
            &[1, 4, 5],
            &[2, 3],
        );
    }

    #[test]
    fn a_thousand_requests_may_wait() {
        // C-66
        let mut queue = RequestQueue::default();
        let evicted = (0..1001).find_map(|_| {
            let id = queue.next_id();
            queue.push(id, Checkpoint)
        });
        assert_eq!(evicted, Some(RequestId(1001)));
    }
}
