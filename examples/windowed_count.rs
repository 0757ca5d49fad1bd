//! Counts per minute of event time, although what is counted comes late and out of order.
//!
//! Each line of a small log has the minute and second at which a page was seen. Lines are up to twenty seconds late, so
//! a minute is counted when a line that is twenty seconds into the next has come.
//!
//! ```text
//! cargo run -p snapline-examples --bin windowed_count
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! 00:00-01:00 /help 1
//! 00:00-01:00 /home 3
//! 01:00-02:00 /home 2
//! 02:00-03:00 /help 1
//! ```

use snapline::prelude::*;
use snapline::{Error, Result};
use std::time::Duration;

/// A line says when a page was seen, and which.
const LOG: [&str; 7] = [
    "00:05 /home",
    "00:40 /help",
    "00:30 /home",
    "01:10 /home",
    "00:55 /home",
    "01:50 /home",
    "02:30 /help",
];

/// When a page was seen, in milliseconds, which, and how often.
type Views = (i64, String, u64);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let views: Vec<Views> = LOG.into_iter().map(parse).collect::<Result<_>>()?;
    let env = StreamExecutionEnvironment::builder().build()?;
    let views = env.from_source(CollectionSource::new(views), "log");
    views_per_minute(&views).print();
    env.execute("windowed-count").await?;
    Ok(())
}

fn views_per_minute(views: &DataStream<Views>) -> DataStream<String> {
    let late_by = Duration::from_secs(20);
    let strategy = WatermarkStrategy::<Views>::for_bounded_out_of_orderness(late_by)
        .with_timestamp_assigner(|(at, ..)| Timestamp(*at));
    views
        .assign_timestamps_and_watermarks(strategy)
        .key_by(|(_, page, _)| page.clone())
        .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
        .reduce_with(
            |so_far, view| so_far.2 += view.2,
            |page, context, (.., count), out| {
                let (start, end) = (context.window().start(), context.window().end());
                out.collect(format!("{}-{} {page} {count}", clock(start), clock(end)));
                Ok(())
            },
        )
}

fn parse(line: &str) -> Result<Views> {
    let wrong = || Error::invalid("a line is not like `00:05 /home`").with("line", line);
    let (time, page) = line.split_once(' ').ok_or_else(wrong)?;
    let (minutes, seconds) = time.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    let at = (number(minutes)? * 60 + number(seconds)?) * 1000;
    Ok((at, page.to_owned(), 1))
}

fn clock(at: Timestamp) -> String {
    let seconds = at.0 / 1000;
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}
