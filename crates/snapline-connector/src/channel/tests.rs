//! What is sent into a channel arrives once, also over restarts.

use super::*;
use crate::testing::{poll, read, reader_context};
use futures::executor::block_on;
use futures::{FutureExt, join};
use snapline_core::ErrorKind;

type Reader = Box<dyn SourceReader<u64, ChannelSplit>>;

/// A reader of a job that starts at the beginning, or at restored splits.
fn start(source: &ChannelSource<u64>, restored: Option<Vec<ChannelSplit>>) -> Reader {
    let mut enumerator = source.enumerator().unwrap();
    let splits = match restored {
        Some(splits) => block_on(enumerator.verify(&splits)).map(|()| splits),
        None => block_on(enumerator.discover(&DiscoveryContext { parallelism: 2 })),
    };
    let mut reader = source.reader(reader_context()).unwrap();
    reader.add_splits(splits.unwrap());
    reader
}

fn send(sender: &ChannelSender<u64>, records: impl IntoIterator<Item = u64>) {
    for record in records {
        sender
            .send(record)
            .now_or_never()
            .expect("there is room")
            .unwrap();
    }
}

fn is_at_end(reader: &mut Reader) -> bool {
    matches!(
        poll(reader.as_mut(), 9),
        Poll::Ready(Ok((_, ReaderStatus::EndOfData)))
    )
}

#[test]
fn a_restarted_job_reads_again_what_no_completed_checkpoint_contains() {
    for cut in 0..=5 {
        let (sender, source) = ChannelSource::bounded(10);
        send(&sender, 0..5);
        let mut reader = start(&source, None);
        read(reader.as_mut(), cut as usize);
        let splits = reader.snapshot(CheckpointId(1)).unwrap();
        read(reader.as_mut(), 5 - cut as usize);
        reader.on_checkpoint_complete(CheckpointId(1)).unwrap();
        drop(reader);
        send(&sender, [5]);
        drop(sender);
        let mut reader = start(&source, Some(splits));
        assert_eq!(
            read(reader.as_mut(), 6 - cut as usize),
            (cut..6).collect::<Vec<_>>()
        );
        assert!(is_at_end(&mut reader));
        assert_eq!(reader.snapshot(CheckpointId(2)).unwrap(), []);
    }
}

#[test]
fn a_job_without_a_checkpoint_starts_again_at_the_first_record() {
    let (sender, source) = ChannelSource::bounded(10);
    send(&sender, 0..3);
    for _ in 0..2 {
        assert_eq!(read(start(&source, None).as_mut(), 3), [0, 1, 2]);
    }
}

#[test]
fn a_checkpoint_that_the_channel_no_longer_keeps_is_refused() {
    let (sender, source) = ChannelSource::bounded(10);
    send(&sender, 0..4);
    let mut reader = start(&source, None);
    let old = reader.snapshot(CheckpointId(1)).unwrap();
    read(reader.as_mut(), 3);
    reader.snapshot(CheckpointId(2)).unwrap();
    reader.on_checkpoint_complete(CheckpointId(2)).unwrap();
    let mut reader = start(&source, Some(old));
    let Poll::Ready(Err(error)) = poll(reader.as_mut(), 1) else {
        panic!("records came from nowhere");
    };
    assert_eq!(
        (error.kind(), error.context("kept from")),
        (ErrorKind::Invalid, Some("3"))
    );
}

#[test]
fn a_job_in_a_new_process_goes_on_with_what_is_sent_there() {
    let (sender, source) = ChannelSource::bounded(10);
    send(&sender, [7]);
    let mut reader = start(&source, Some(vec![ChannelSplit { next: 40 }]));
    assert_eq!(read(reader.as_mut(), 1), [7]);
    assert_eq!(
        reader.snapshot(CheckpointId(9)).unwrap(),
        [ChannelSplit { next: 41 }]
    );
}

#[test]
fn a_sender_waits_for_room_and_a_reader_for_records() {
    let (sender, source) = ChannelSource::bounded(2);
    let mut reader = start(&source, None);
    assert!(poll(reader.as_mut(), 1).is_pending());
    send(&sender, [0, 1]);
    assert!(sender.send(9).now_or_never().is_none());
    let sending = async {
        for record in 2..100 {
            sender.send(record).await.unwrap();
        }
        drop(sender);
    };
    let reading = async {
        let mut batch = Batch::new();
        while poll_fn(|cx| reader.poll_batch(cx, &mut batch, 3)).await.unwrap() == ReaderStatus::More {}
        batch.records
    };
    let ((), records) = block_on(async { join!(sending, reading) });
    assert_eq!(records, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_sender_is_told_when_nobody_reads_any_more() {
    let kind = |sender: &ChannelSender<u64>| sender.send(1).now_or_never().unwrap().unwrap_err().kind();
    let (sender, source) = ChannelSource::bounded(1);
    drop(start(&source, None));
    send(&sender, [0]);
    drop(source);
    assert_eq!(kind(&sender), ErrorKind::Cancelled);

    let (sender, source) = ChannelSource::bounded(1);
    assert!(is_at_end(&mut start(&source, Some(vec![]))));
    assert_eq!(kind(&sender), ErrorKind::Cancelled);
}
