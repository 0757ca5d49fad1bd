//! When a loop is over.

use LoopState::{Fed, Over, Turning};
use TaskActivity::{Busy, Idle};
use snapline_barrier::{ChannelCut, LoopState, LoopTermination, RecordedRun, TaskActivity, TaskCut};
use snapline_core::{CheckpointId, OperatorUid, SubtaskId, SubtaskIndex};

fn task(uid: &str) -> SubtaskId {
    SubtaskId {
        operator: OperatorUid::new(uid).unwrap(),
        index: SubtaskIndex(0),
    }
}

fn cut(channels: &[(u64, u64, &[u64])]) -> TaskCut {
    let run = |from: &u64| RecordedRun {
        from: *from,
        to: from + 1,
    };
    let channel = |(received, sent, recorded): &(u64, u64, &[u64])| ChannelCut {
        received: *received,
        sent: *sent,
        recorded: recorded.iter().map(run).collect(),
    };
    TaskCut {
        clock: None,
        channels: channels.iter().map(channel).collect(),
    }
}

fn completed(
    watch: &mut LoopTermination,
    checkpoint: u64,
    tasks: &[(&str, TaskCut, TaskActivity)],
) -> LoopState {
    let tasks: Vec<_> = tasks
        .iter()
        .map(|(uid, cut, activity)| (task(uid), cut, *activity))
        .collect();
    let tasks = tasks.iter().map(|(id, cut, activity)| (id, *cut, *activity));
    watch.on_completed(CheckpointId(checkpoint), tasks)
}

#[test]
fn only_a_checkpoint_that_shows_all_of_the_loop_empty_proves_that_it_is_over() {
    let empty = || cut(&[(3, 3, &[]), (0, 0, &[])]);
    let cases = [
        ("empty", empty(), Idle, Over),
        ("a log", cut(&[(3, 3, &[]), (1, 2, &[1])]), Idle, Turning),
        ("not received", cut(&[(3, 4, &[]), (1, 1, &[])]), Idle, Turning),
        (
            "at least once, received ahead of the cut",
            cut(&[(4, 3, &[])]),
            Idle,
            Turning,
        ),
        ("a timer", empty(), Busy, Turning),
    ];
    for (label, body, activity, expected) in cases {
        let mut watch = LoopTermination::new([task("head")], [task("body")]);
        watch.on_input_ended(&task("head"), CheckpointId(1));
        let tasks = [
            ("head", empty(), Idle),
            ("body", body.clone(), activity),
            ("sink", cut(&[(1, 9, &[])]), Idle),
        ];
        assert_eq!(completed(&mut watch, 2, &tasks), expected, "{label}");
        let swapped = [("body", empty(), Idle), ("head", body, activity)];
        let mut watch = LoopTermination::new([task("head")], [task("body")]);
        watch.on_input_ended(&task("head"), CheckpointId(1));
        assert_eq!(
            completed(&mut watch, 2, &swapped),
            expected,
            "{label} of the head"
        );
        assert_eq!(
            completed(&mut watch, 3, &[]),
            expected,
            "{label}, and a checkpoint without the loop"
        );
    }
}

#[test]
fn a_checkpoint_that_began_before_the_end_of_all_input_proves_nothing() {
    let mut watch = LoopTermination::new([task("left"), task("right")], []);
    let tasks = [("left", cut(&[]), Idle), ("right", cut(&[]), Idle)];
    watch.on_input_ended(&task("left"), CheckpointId(1));
    watch.on_input_ended(&task("left"), CheckpointId(9));
    assert_eq!(completed(&mut watch, 2, &tasks), Fed);
    watch.on_input_ended(&task("right"), CheckpointId(4));
    assert_eq!(watch.state(), Turning);
    assert_eq!(completed(&mut watch, 4, &tasks), Turning);
    assert_eq!(completed(&mut watch, 5, &tasks[..1]), Turning);
    assert_eq!(completed(&mut watch, 6, &tasks), Over);
    assert_eq!(completed(&mut watch, 7, &[]), Over);
    watch.on_restore([&task("elsewhere")]);
    assert_eq!(watch.state(), Over);
    watch.on_restore([&task("right")]);
    assert_eq!(completed(&mut watch, 8, &tasks), Fed);
    watch.on_input_ended(&task("right"), CheckpointId(8));
    assert_eq!(completed(&mut watch, 9, &tasks), Over);
}
