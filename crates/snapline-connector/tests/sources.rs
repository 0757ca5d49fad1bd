//! The conformance suite of sources, for those of this crate.

use futures::FutureExt;
use snapline_connector::{ChannelSource, CollectionSource, GeneratorSource, SequenceSource};
use snapline_testkit::source::Subject;
use snapline_testkit::source_suite;

source_suite!(
    sequence,
    Subject::new(|| SequenceSource::new(5..17), 5..17)
        .refusing(|| SequenceSource::new(5..18))
        .refusing(|| SequenceSource::new(6..17))
);

source_suite!(
    collection,
    Subject::new(|| CollectionSource::new(words(11)), words(11))
        .refusing(|| CollectionSource::new(words(12)))
        .refusing(|| CollectionSource::new(words(11).map(|word| word.replace('7', "8"))))
);

source_suite!(
    generator,
    Subject::new(|| GeneratorSource::new(10, square), (0..10).map(square))
        .refusing(|| GeneratorSource::new(9, square))
);

source_suite!(
    channel,
    Subject::new(|| channel(0..9), 0..9)
        .volatile()
        .acknowledged_by(|source| 9 - source.unacknowledged() as u64)
);

fn words(count: u64) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("word {number}"))
}

fn square(number: u64) -> (u64, u64) {
    (number, number * number)
}

/// A channel into which all that will ever be sent is sent.
fn channel(records: impl IntoIterator<Item = u64>) -> ChannelSource<u64> {
    let (sender, source) = ChannelSource::bounded(100);
    for record in records {
        assert!(matches!(sender.send(record).now_or_never(), Some(Ok(()))));
    }
    source
}
