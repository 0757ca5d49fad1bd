//! Tests of the input gate.

use super::*;
use snapline_core::{AttemptId, Batch, BatchHeader, CheckpointId};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn frame(value: u64) -> Frame<BoxedBatch> {
    let header = BatchHeader {
        attempt: AttemptId(1),
        epoch: CheckpointId::NONE,
        seq: 0,
    };
    Frame {
        clock: None,
        header,
        element: StreamElement::Batch(Box::new(Batch::from(vec![value]))),
    }
}

fn next(gate: &mut InputGate, cx: &mut Context<'_>) -> Option<(usize, u64)> {
    match gate.poll_next(cx) {
        Poll::Pending => None,
        Poll::Ready((channel, frame)) => {
            let StreamElement::Batch(mut batch) = frame.element else {
                panic!("not a batch")
            };
            let value = batch.as_any_mut().downcast_mut::<Batch<u64>>().unwrap().records[0];
            Some((channel, value))
        }
    }
}

#[test]
fn channels_take_turns_and_keep_their_order() {
    let (mut gate, senders) = input_gate(2, 1024);
    let cx = &mut Context::from_waker(Waker::noop());
    (1..=3).for_each(|value| _ = senders[0].send(frame(value)));
    (11..=12).for_each(|value| _ = senders[1].send(frame(value)));
    let order: Vec<_> = std::iter::from_fn(|| next(&mut gate, cx)).collect();
    assert_eq!(order, [(0, 1), (1, 11), (0, 2), (1, 12), (0, 3)]);
}

#[test]
fn a_blocked_channel_delivers_nothing_and_loses_nothing() {
    let (mut gate, senders) = input_gate(2, 1024);
    let cx = &mut Context::from_waker(Waker::noop());
    senders[0].send(frame(1));
    gate.block(0);
    senders[0].send(frame(2));
    senders[1].send(frame(11));
    assert_eq!(next(&mut gate, cx), Some((1, 11)));
    assert_eq!(next(&mut gate, cx), None);
    gate.unblock(0);
    gate.unblock(0);
    let order: Vec<_> = std::iter::from_fn(|| next(&mut gate, cx)).collect();
    assert_eq!(order, [(0, 1), (0, 2)]);
}

#[test]
fn a_full_channel_holds_its_sender_until_half_of_it_is_read() {
    let (mut gate, senders) = input_gate(1, 32);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let cx = &mut Context::from_waker(&waker);
    for value in 0..4 {
        assert!(senders[0].poll_ready(cx).is_ready(), "{value}");
        senders[0].send(frame(value));
    }
    assert!(senders[0].poll_ready(cx).is_pending());
    next(&mut gate, cx);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    next(&mut gate, cx);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(senders[0].poll_ready(cx).is_ready());
}

#[test]
fn a_sleeping_receiver_is_woken_once_and_a_dropped_one_frees_its_senders() {
    let (mut gate, senders) = input_gate(1, 8);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let cx = &mut Context::from_waker(&waker);
    assert_eq!(next(&mut gate, cx), None);
    senders[0].send(frame(1));
    senders[0].send(frame(2));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(senders[0].poll_ready(cx).is_pending());
    drop(gate);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
    assert!(senders[0].poll_ready(cx).is_ready());
    assert!(senders[0].send(frame(3)).is_none());
}

#[test]
fn an_emptied_batch_goes_back_to_its_sender() {
    let (mut gate, senders) = input_gate(1, 1024);
    assert!(senders[0].send(frame(1)).is_none());
    gate.recycle(0, Box::new(Batch::<u64>::with_capacity(100)));
    assert!(senders[0].send(frame(2)).is_some());
    assert!(senders[0].send(frame(3)).is_none());
}

/// Delivers the youngest turn first, and nothing at every second call.
#[derive(Debug, Default)]
struct Contrary(AtomicUsize);

impl Network for Contrary {
    fn poll_turn(&self, task: &SubtaskId, ready: &[usize], _: &mut Context<'_>) -> Poll<usize> {
        assert_eq!(task.to_string(), "map[0]");
        match self.0.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => Poll::Ready(ready.len() - 1),
            _ => Poll::Pending,
        }
    }
}

#[test]
fn a_network_decides_which_channel_delivers_and_when() {
    let (gate, senders) = input_gate(2, 1024);
    let task = SubtaskId {
        operator: snapline_core::OperatorUid::from_text("map"),
        index: snapline_core::SubtaskIndex(0),
    };
    let mut gate = gate.with_network(task, Arc::new(Contrary::default()));
    let cx = &mut Context::from_waker(Waker::noop());
    (1..=2).for_each(|value| _ = senders[0].send(frame(value)));
    senders[1].send(frame(11));
    let order: Vec<_> = (0..6).map(|_| next(&mut gate, cx)).collect();
    assert_eq!(
        order,
        [Some((1, 11)), None, Some((0, 1)), None, Some((0, 2)), None]
    );
}
