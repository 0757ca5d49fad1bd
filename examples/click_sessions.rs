//! Visits to a site: clicks of a user that are less than half an hour apart are one session.
//!
//! Clicks come up to ten minutes late. One that comes later still joins its session, or makes one longer, as long as that is
//! open; for a session that was printed already it is too late, and goes to a side output instead of being lost.
//!
//! ```text
//! cargo run -p snapline-examples --bin click_sessions
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! 12:00-12:20 ann /home /search /shoes
//! 12:05-12:05 bob /home
//! 12:25-12:50 bob /cart /help
//! 13:10-13:15 ann /home /cart
//! too late: 12:10 bob /shoes
//! ```

use snapline::prelude::*;
use snapline::{Error, Result};
use std::time::Duration;

/// When who has seen which page, as the lines have come in.
const CLICKS: [&str; 9] = [
    "12:00 ann /home",
    "12:05 bob /home",
    "12:20 ann /shoes",
    "12:15 ann /search",
    "12:50 bob /help",
    "13:10 ann /home",
    "12:10 bob /shoes",
    "12:25 bob /cart",
    "13:15 ann /cart",
];

/// The pause that ends a session, and how late a click may come.
const PAUSE: Duration = Duration::from_secs(30 * 60);
const LATE_BY: Duration = Duration::from_secs(10 * 60);

/// When who has seen which page.
type Click = (i64, String, String);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let clicks: Vec<Click> = CLICKS.into_iter().map(click).collect::<Result<_>>()?;
    // Watermarks stand between batches. Nine clicks would be one batch, in which none is late; so one by one.
    let settings = JobSettings {
        parallelism: 2,
        batch_records: 1,
        ..JobSettings::default()
    };
    let env = StreamExecutionEnvironment::builder().settings(settings).build()?;
    let times = WatermarkStrategy::<Click>::for_bounded_out_of_orderness(LATE_BY)
        .with_timestamp_assigner(|(at, ..)| Timestamp(*at));
    let clicks = env
        .from_source_with_watermarks(CollectionSource::new(clicks), times, "clicks")
        .parallelism(1);
    let (sessions, too_late) = sessions(&clicks);
    sessions.print();
    too_late
        .map(|(at, user, page)| format!("too late: {} {user} {page}", clock(at)))
        .print();
    env.execute("click-sessions").await?;
    Ok(())
}

/// The sessions of each user, and the clicks that have missed theirs.
fn sessions(clicks: &DataStream<Click>) -> (DataStream<String>, DataStream<Click>) {
    let late = OutputTag::new("late");
    let sessions = clicks
        .key_by(|(_, user, _)| user.clone())
        .window(EventTimeSessionWindows::with_gap(PAUSE))
        .side_output_late_data(&late)
        .process(|user, _context, clicks, out| {
            out.collect(session(user, &clicks));
            Ok(())
        })
        .uid("sessions");
    let late = sessions.side_output(&late);
    (sessions, late)
}

/// From the first to the last click of a session, and its pages in the order of time.
fn session(user: &str, clicks: &[Click]) -> String {
    let mut seen: Vec<(i64, &str)> = clicks.iter().map(|(at, _, page)| (*at, page.as_str())).collect();
    seen.sort_unstable();
    let time = |click: Option<&(i64, &str)>| click.map_or(String::new(), |(at, _)| clock(*at));
    let pages: Vec<&str> = seen.iter().map(|(_, page)| *page).collect();
    format!(
        "{}-{} {user} {}",
        time(seen.first()),
        time(seen.last()),
        pages.join(" ")
    )
}

fn click(line: &str) -> Result<Click> {
    let wrong = || Error::invalid("a line is not like `12:00 ann /home`").with("line", line);
    let words: Vec<&str> = line.split(' ').collect();
    let [time, user, page] = words[..] else {
        return Err(wrong());
    };
    let (hours, minutes) = time.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    let at = (number(hours)? * 60 + number(minutes)?) * 60_000;
    Ok((at, user.to_owned(), page.to_owned()))
}

fn clock(millis: i64) -> String {
    format!("{:02}:{:02}", millis / 3_600_000, millis / 60_000 % 60)
}
