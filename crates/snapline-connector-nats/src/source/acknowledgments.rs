//! What was handed out and is not acknowledged yet.

use async_nats::Subject;
use async_nats::jetstream::consumer::AckPolicy;
use snapline_core::CheckpointId;
use std::collections::{BTreeMap, VecDeque};

/// Where the messages that were handed out are acknowledged, by their numbers.
#[derive(Debug)]
pub(super) struct Acknowledgments {
    policy: AckPolicy,
    replies: BTreeMap<u64, Subject>,
    /// The last message that came before each checkpoint which is not complete.
    checkpoints: VecDeque<(CheckpointId, u64)>,
}

/// What a complete checkpoint acknowledges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// All messages up to this number.
    pub(super) last: u64,
    /// Where that is told, as far as it is known.
    pub(super) replies: Vec<Subject>,
}

impl Acknowledgments {
    pub(super) fn new(policy: AckPolicy) -> Self {
        Self {
            policy,
            replies: BTreeMap::new(),
            checkpoints: VecDeque::new(),
        }
    }

    /// A message was handed out.
    pub(super) fn add(&mut self, sequence: u64, reply: Subject) {
        // One acknowledgment is for all messages before it: only the last before each checkpoint counts.
        if self.policy == AckPolicy::All
            && let Some(last) = self.replies.last_entry()
            && self.checkpoints.back().is_none_or(|(_, kept)| last.key() > kept)
        {
            last.remove();
        }
        self.replies.insert(sequence, reply);
    }

    /// A message that was handed out has come again, and is to be acknowledged there.
    pub(super) fn renew(&mut self, sequence: u64, reply: Subject) {
        if let Some(known) = self.replies.get_mut(&sequence) {
            *known = reply;
        } else if self.policy != AckPolicy::All || self.checkpoints.iter().any(|(_, last)| *last == sequence)
        {
            self.replies.insert(sequence, reply);
        }
    }

    /// All messages that were handed out will come again.
    pub(super) fn forget_replies(&mut self) {
        self.replies.clear();
    }

    /// A checkpoint comes behind this message.
    pub(super) fn snapshot(&mut self, checkpoint: CheckpointId, last: u64) {
        self.checkpoints.push_back((checkpoint, last));
    }

    pub(super) fn complete(&mut self, checkpoint: CheckpointId) -> Option<Acknowledged> {
        let mut newest = None;
        while let Some((_, last)) = self.checkpoints.pop_front_if(|(older, _)| *older <= checkpoint) {
            newest = Some(last);
        }
        let last = newest?;
        let later = self.replies.split_off(&(last + 1));
        let mut replies = std::mem::replace(&mut self.replies, later);
        let replies = match self.policy {
            AckPolicy::All => replies.pop_last().map(|(_, reply)| reply).into_iter().collect(),
            _ => replies.into_values().collect(),
        };
        Some(Acknowledged { last, replies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: AckPolicy, before: &[u64], behind: &[u64]) -> (u64, Vec<String>) {
        let mut acknowledgments = Acknowledgments::new(policy);
        let reply = |sequence: &u64| Subject::from(sequence.to_string());
        before
            .iter()
            .for_each(|sequence| acknowledgments.add(*sequence, reply(sequence)));
        acknowledgments.snapshot(CheckpointId(1), *before.last().unwrap());
        behind
            .iter()
            .for_each(|sequence| acknowledgments.add(*sequence, reply(sequence)));
        acknowledgments.snapshot(CheckpointId(2), *behind.last().unwrap());
        let Acknowledged { last, replies } = acknowledgments.complete(CheckpointId(1)).unwrap();
        assert_eq!(acknowledgments.complete(CheckpointId(1)), None);
        assert!(acknowledgments.complete(CheckpointId(2)).is_some());
        (last, replies.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_came_before_a_checkpoint_is_acknowledged_with_it() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(told(AckPolicy::All, &[1, 2, 5], &[6, 9]), (5, texts(&["5"])));
        assert_eq!(
            told(AckPolicy::Explicit, &[1, 2, 5], &[6, 9]),
            (5, texts(&["1", "2", "5"]))
        );
    }

    #[test]
    fn one_acknowledgment_for_all_keeps_no_more_than_one_for_each_checkpoint() {
        let mut acknowledgments = Acknowledgments::new(AckPolicy::All);
        for sequence in 1..100 {
            acknowledgments.add(sequence, Subject::from("x"));
        }
        assert_eq!(acknowledgments.replies.len(), 1);
        acknowledgments.snapshot(CheckpointId(1), 99);
        acknowledgments.add(100, Subject::from("y"));
        acknowledgments.add(101, Subject::from("y"));
        assert_eq!(acknowledgments.replies.len(), 2);
    }

    #[test]
    fn messages_that_come_again_are_acknowledged_where_they_came_last() {
        for policy in [AckPolicy::All, AckPolicy::Explicit] {
            let mut acknowledgments = Acknowledgments::new(policy);
            acknowledgments.add(1, Subject::from("old"));
            acknowledgments.snapshot(CheckpointId(1), 1);
            acknowledgments.forget_replies();
            acknowledgments.renew(1, Subject::from("new"));
            let acknowledged = acknowledgments.complete(CheckpointId(1)).unwrap();
            assert_eq!(acknowledged.replies, [Subject::from("new")]);
        }
    }
}
