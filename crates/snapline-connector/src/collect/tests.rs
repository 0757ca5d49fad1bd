//! What a job has collected is what its checkpoints contain.

use super::*;
use crate::testing::{committer_context, prepare, write, writer_context};
use futures::executor::block_on;
use snapline_core::{AttemptId, decode, encode_into};

/// The same committables as they come out of a checkpoint.
fn restore(parts: &[CollectedPart<u64>]) -> Vec<CollectedPart<u64>> {
    let mut encoded = Vec::new();
    encode_into(parts, &mut encoded).unwrap();
    decode(&encoded).unwrap()
}

#[test]
fn records_become_visible_once_when_their_checkpoint_is_complete() {
    let (sink, collected) = CollectSink::<u64>::new();
    let mut committer = sink.committer(committer_context()).unwrap();
    let mut writers = [0, 1].map(|subtask| sink.writer(writer_context(subtask)).unwrap());
    write(writers[1].as_mut(), vec![3]);
    write(writers[0].as_mut(), vec![1, 2]);
    let mut parts: Vec<_> = writers
        .iter_mut()
        .flat_map(|writer| prepare(writer.as_mut(), 1))
        .collect();
    write(writers[0].as_mut(), vec![4]);
    assert_eq!(collected.snapshot(), []);

    parts.reverse();
    for _ in 0..2 {
        block_on(committer.commit(restore(&parts))).unwrap();
        assert_eq!(collected.snapshot(), [1, 2, 3]);
    }
    block_on(committer.commit(prepare(writers[0].as_mut(), 2))).unwrap();
    assert_eq!(collected.take(), [1, 2, 3, 4]);

    block_on(committer.commit(parts)).unwrap();
    assert_eq!(collected.take(), [], "what was taken came back");
    assert!(prepare(writers[0].as_mut(), 3).is_empty());
}

#[test]
fn what_comes_after_the_restored_checkpoint_is_withdrawn() {
    let cases: [(Option<u64>, &[u64]); 4] = [
        (Some(3), &[1, 2]),
        (Some(2), &[1, 2]),
        (Some(1), &[1]),
        (None, &[]),
    ];
    for (restored, expected) in cases {
        let (sink, collected) = CollectSink::<u64>::new();
        let mut committer = sink.committer(committer_context()).unwrap();
        let mut writer = sink.writer(writer_context(0)).unwrap();
        for number in [1, 2] {
            write(writer.as_mut(), vec![number]);
            block_on(committer.commit(prepare(writer.as_mut(), number))).unwrap();
        }
        block_on(committer.recover(AttemptId(2), restored.map(CheckpointId))).unwrap();
        assert_eq!(collected.snapshot(), expected, "{restored:?}");
    }
}
