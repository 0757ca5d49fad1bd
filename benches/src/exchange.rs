//! Records of several sizes that do nothing but change threads.

use crate::expected::Totals;
use crate::job::{CountingSink, JobOptions, environment};
use crate::random::mix;
use crate::report::Report;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline::Result;
use snapline::prelude::*;

/// What is measured.
#[derive(Debug, Clone)]
pub struct ExchangeOptions {
    /// How the job is run.
    pub job: JobOptions,
    /// How many records there are.
    pub records: u64,
    /// How large each of them is.
    pub size: RecordSize,
    /// How they are dealt out.
    pub dealing: Dealing,
}

/// How large a record is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum RecordSize {
    /// 8 bytes.
    Bytes8,
    /// 16 bytes.
    Bytes16,
    /// 128 bytes.
    Bytes128,
}

/// To which subtask a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum Dealing {
    /// To the one of its key.
    ByKey,
    /// To the next one.
    InTurn,
}

/// A record of this many words. The first is its key.
pub(crate) fn record<const WORDS: usize>(number: u64) -> [u64; WORDS] {
    let mut record = [number; WORDS];
    record[0] = mix(number);
    record
}

/// What a sink adds up: nothing of a record can be lost on the way that does not show.
#[inline]
pub(crate) fn checked<const WORDS: usize>(record: &[u64; WORDS]) -> u64 {
    record.iter().copied().fold(0, u64::wrapping_add)
}

/// The totals of these records.
pub fn expect_exchange(records: u64, size: RecordSize) -> Totals {
    match size {
        RecordSize::Bytes8 => expect::<1>(records),
        RecordSize::Bytes16 => expect::<2>(records),
        RecordSize::Bytes128 => expect::<16>(records),
    }
}

fn expect<const WORDS: usize>(records: u64) -> Totals {
    let mut totals = Totals::default();
    for number in 0..records {
        totals.add(mix(number).wrapping_add(number.wrapping_mul(WORDS as u64 - 1)));
    }
    totals
}

/// Deals records out to the subtasks of a counting sink.
///
/// # Errors
/// What made the job fail.
pub async fn run_exchange(options: &ExchangeOptions) -> Result<(Report, Totals)> {
    match options.size {
        RecordSize::Bytes8 => run_of::<1>(options).await,
        RecordSize::Bytes16 => run_of::<2>(options).await,
        RecordSize::Bytes128 => run_of::<16>(options).await,
    }
}

async fn run_of<const WORDS: usize>(options: &ExchangeOptions) -> Result<(Report, Totals)>
where
    [u64; WORDS]: Serialize + DeserializeOwned,
{
    let env = environment(&options.job).await?;
    let sink = CountingSink::default();
    let records = env.from_source(GeneratorSource::new(options.records, record::<WORDS>), "records");
    let dealt = match options.dealing {
        Dealing::InTurn => records.rebalance(),
        Dealing::ByKey => records.key_by(|record| record[0]).process_with(|_| {
            |record, _, out| {
                out.collect(record);
                Ok(())
            }
        }),
    };
    dealt.sink_to(sink.of(checked::<WORDS>));
    let status = env.execute("exchange").await?.status;
    Ok(sink.report("exchange", &options.job, &status))
}
