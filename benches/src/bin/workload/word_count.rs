//! Options of the workload `wordcount`.

use crate::{Baseline, Options, by_hand, in_two_threads, verified};
use clap::Args;
use futures::executor::block_on;
use snapline_benches::{Report, expect_word_count, run_word_count, two_thread_word_count, word_count};
use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct WordCount {
    /// The text.
    #[arg(long)]
    input: PathBuf,
    #[command(flatten)]
    options: Options,
}

impl WordCount {
    pub(crate) fn run(self) -> Result<Report, Box<dyn Error>> {
        let (report, totals) = match self.options.baseline {
            Some(Baseline::Plain) if self.options.parallelism == 2 => {
                in_two_threads(by_hand("hand-written, two threads", "wordcount", |totals| {
                    *totals = two_thread_word_count(&self.input)?;
                    Ok(())
                })?)
            }
            Some(Baseline::Plain) => {
                let file = File::open(&self.input)?;
                by_hand("hand-written", "wordcount", |totals| {
                    word_count(file, |word, count| {
                        black_box(word);
                        totals.add(count);
                    })
                })?
            }
            Some(Baseline::Prefetch) => return Err("wordcount has no baseline with prefetch".into()),
            None => block_on(run_word_count(&self.input, &self.options.job()))?,
        };
        let text = std::fs::read_to_string(&self.input)?;
        Ok(verified(report, totals, expect_word_count(&text)))
    }
}
