//! Tests of the input gate.

use super::*;
use snapline_core::{
    AttemptId, BarrierAlignment, BarrierOptions, Batch, BatchHeader, CheckpointId, CheckpointKind, Timestamp,
    Watermark,
};
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
fn a_back_edge_that_holds_much_goes_before_others_but_for_one_turn_in_sixteen() {
    let (gate, senders) = input_gate(2, 16);
    let mut gate = gate.with_back_edges([1]);
    let cx = &mut Context::from_waker(Waker::noop());
    (0..20).for_each(|value| _ = senders[0].send(frame(value)));
    (100..140).for_each(|value| _ = senders[1].send(frame(value)));
    let order: Vec<usize> = std::iter::from_fn(|| next(&mut gate, cx))
        .map(|(channel, _)| channel)
        .collect();
    let from_outside = |turns: &[usize]| turns.iter().filter(|channel| **channel == 0).count();
    // The last two batches of the back edge are no more than the limit.
    assert_eq!(from_outside(&order[..40]), 2, "{order:?}");
    assert_eq!(
        order[40..].iter().filter(|channel| **channel == 1).count(),
        2,
        "{order:?}"
    );
    assert_eq!(order.len(), 60);
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
fn what_is_no_batch_is_taken_alone_when_none_stands_before_it_on_an_open_channel() {
    let (mut gate, senders) = input_gate(3, 1024);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let cx = &mut Context::from_waker(&waker);
    let mut signal = |gate: &mut InputGate| {
        let _ = gate.poll_announcement(cx);
        let (channel, frame) = gate.next_signal()?;
        Some((channel, is_marker(&frame)))
    };
    senders[0].send(numbered(0));
    senders[0].send(aligned(1, 1));
    assert_eq!(signal(&mut gate), None, "a batch stands before it");
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    senders[1].send(Frame {
        element: StreamElement::Idle,
        ..numbered(0)
    });
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "who waits is told");
    senders[1].send(aligned(1, 0));
    assert_eq!(signal(&mut gate), Some((1, false)));
    assert_eq!(signal(&mut gate), Some((1, true)));
    gate.block(2);
    senders[2].send(aligned(1, 0));
    assert_eq!(signal(&mut gate), None, "its channel is blocked");
    gate.unblock(2);
    assert_eq!(signal(&mut gate), Some((2, true)));
    assert!(gate.poll_next(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(signal(&mut gate), Some((0, true)));
    assert_eq!(signal(&mut gate), None);
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

fn numbered(seq: u64) -> Frame<BoxedBatch> {
    let mut frame = frame(seq);
    frame.header.seq = seq;
    frame
}

/// A barrier that may overtake, after this many batches.
fn barrier(checkpoint: u64, sent: u64) -> Frame<BoxedBatch> {
    let barrier = CheckpointBarrier {
        checkpoint: CheckpointId(checkpoint),
        created: Timestamp(0),
        options: BarrierOptions {
            kind: CheckpointKind::Checkpoint,
            alignment: BarrierAlignment::Unaligned,
            base: None,
        },
    };
    Frame {
        element: StreamElement::Barrier { barrier, sent },
        ..numbered(sent)
    }
}

fn aligned(checkpoint: u64, sent: u64) -> Frame<BoxedBatch> {
    let mut frame = barrier(checkpoint, sent);
    if let StreamElement::Barrier { barrier, .. } = &mut frame.element {
        barrier.options = BarrierOptions::default();
    }
    frame
}

fn announced(gate: &mut InputGate, cx: &mut Context<'_>) -> Option<(usize, u64)> {
    match gate.poll_announcement(cx) {
        Poll::Ready((channel, barrier)) => Some((channel, barrier.checkpoint.0)),
        Poll::Pending => None,
    }
}

/// What is queued, in the order of delivery: numbers of batches, `b` and the checkpoint.
fn drain(gate: &mut InputGate) -> Vec<String> {
    let cx = &mut Context::from_waker(Waker::noop());
    let next = std::iter::from_fn(|| match gate.poll_next(cx) {
        Poll::Ready((channel, frame)) => Some((channel, frame)),
        Poll::Pending => None,
    });
    next.map(|(channel, frame)| match frame.element {
        StreamElement::Barrier { barrier, .. } => format!("{channel}:b{}", barrier.checkpoint),
        StreamElement::CancelCheckpoint(checkpoint) => format!("{channel}:c{checkpoint}"),
        _ => format!("{channel}:{}", frame.header.seq),
    })
    .collect()
}

#[test]
fn a_barrier_that_may_overtake_is_announced_once_and_an_aligned_one_never() {
    let (mut gate, senders) = input_gate(2, 1024);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let cx = &mut Context::from_waker(&waker);
    assert_eq!(announced(&mut gate, cx), None);
    senders[0].send(numbered(0));
    senders[1].send(numbered(0));
    senders[1].send(aligned(1, 1));
    assert!(!gate.has_announcements() && wakes.0.load(Ordering::SeqCst) == 0);
    senders[0].send(barrier(1, 1));
    assert!(gate.has_announcements() && wakes.0.load(Ordering::SeqCst) == 1);
    assert_eq!(announced(&mut gate, cx), Some((0, 1)));
    assert_eq!(announced(&mut gate, cx), None);
    assert!(!gate.has_announcements());
    assert_eq!(drain(&mut gate), ["0:0", "1:0", "0:b1", "1:b1"]);
}

#[test]
fn a_barrier_that_was_delivered_is_not_announced_any_more() {
    let (mut gate, senders) = input_gate(1, 1024);
    senders[0].send(barrier(1, 0));
    assert_eq!(drain(&mut gate), ["0:b1"]);
    assert!(!gate.has_announcements());
    assert_eq!(
        announced(&mut gate, &mut Context::from_waker(Waker::noop())),
        None
    );
}

#[test]
fn a_receiver_that_is_about_to_sleep_is_woken_by_an_announcement_on_a_blocked_channel() {
    let (mut gate, senders) = input_gate(1, 1024);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let cx = &mut Context::from_waker(&waker);
    gate.block(0);
    senders[0].send(barrier(1, 0));
    assert_eq!(next(&mut gate, cx), None);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert_eq!(announced(&mut gate, cx), Some((0, 1)));
    assert_eq!(next(&mut gate, cx), None);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_barrier_overtakes_and_what_it_overtook_is_seen_and_stays() {
    let (mut gate, senders) = input_gate(1, 1024);
    (0..3).for_each(|seq| _ = senders[0].send(numbered(seq)));
    senders[0].send(barrier(1, 3));
    senders[0].send(numbered(3));
    assert_eq!(
        next(&mut gate, &mut Context::from_waker(Waker::noop())),
        Some((0, 0))
    );
    let frame = gate.prioritize(0).unwrap();
    assert!(matches!(frame.element, StreamElement::Barrier { sent: 3, .. }));
    let mut overtaken = Vec::new();
    gate.look_at_overtaken(0, 3, |seq, batch| overtaken.push((seq, batch.len())));
    assert_eq!(overtaken, [(1, 1), (2, 1)]);
    assert!(gate.prioritize(0).is_none());
    assert_eq!(drain(&mut gate), ["0:1", "0:2", "0:3"]);
}

#[test]
fn a_barrier_that_is_alone_or_blocked_overtakes_nothing_and_leaves_an_empty_channel() {
    for blocked in [false, true] {
        let (mut gate, senders) = input_gate(1, 1024);
        if blocked {
            gate.block(0);
        }
        senders[0].send(barrier(1, 0));
        assert!(gate.prioritize(0).is_some());
        gate.unblock(0);
        assert!(drain(&mut gate).is_empty());
        senders[0].send(numbered(0));
        assert_eq!(drain(&mut gate), ["0:0"]);
    }
}

#[test]
fn a_marker_behind_another_is_announced_when_the_first_is_gone() {
    let (mut gate, senders) = input_gate(1, 1024);
    let cx = &mut Context::from_waker(Waker::noop());
    let cancel = Frame {
        element: StreamElement::CancelCheckpoint(CheckpointId(2)),
        ..numbered(1)
    };
    for frame in [numbered(0), barrier(1, 1), cancel, barrier(3, 1)] {
        senders[0].send(frame);
    }
    assert_eq!(announced(&mut gate, cx), Some((0, 1)));
    assert!(gate.prioritize(0).is_some());
    assert_eq!(announced(&mut gate, cx), None);
    assert!(gate.prioritize(0).is_none(), "a cancel marker does not overtake");
    (0..2).for_each(|_| _ = gate.poll_next(cx));
    assert_eq!(announced(&mut gate, cx), Some((0, 3)));
}

#[test]
fn what_was_in_flight_comes_before_everything_that_is_sent_now() {
    let (mut gate, senders) = input_gate(3, 16);
    gate.restore(1, [numbered(0), numbered(1)]);
    gate.restore(2, [numbered(0)]);
    senders[0].send(numbered(0));
    senders[2].send(numbered(1));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(senders[1].poll_ready(cx).is_pending(), "restored bytes take room");
    assert_eq!(drain(&mut gate), ["1:0", "2:0", "1:1", "0:0", "2:1"]);
    senders[1].send(numbered(2));
    assert_eq!(drain(&mut gate), ["1:2"]);
}

#[test]
fn watermarks_do_not_pile_up_and_pass_no_record() {
    let (mut gate, senders) = input_gate(1, 1024);
    let cx = &mut Context::from_waker(Waker::noop());
    let watermark = |millis| Frame {
        element: StreamElement::Watermark(Watermark(Timestamp(millis))),
        ..frame(0)
    };
    for element in [
        watermark(1),
        watermark(2),
        frame(7),
        watermark(3),
        watermark(4),
        watermark(5),
    ] {
        senders[0].send(element);
    }
    let mut order = Vec::new();
    while let Poll::Ready((_, frame)) = gate.poll_next(cx) {
        order.push(match frame.element {
            StreamElement::Watermark(watermark) => watermark.0.0,
            _ => 0,
        });
    }
    assert_eq!(order, [2, 0, 5]);
}
