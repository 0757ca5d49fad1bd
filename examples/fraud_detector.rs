//! Alerts: who has stolen a card tries it with a small payment, and then pays much.
//!
//! An account is watched for a minute after a small payment. The time of that payment is a keyed state; a timer ends the
//! watch, so that the state of accounts that behave is not kept for ever. A large payment meanwhile is an alert, and ends the
//! watch before its timer.
//!
//! ```text
//! cargo run -p snapline-examples --bin fraud_detector
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! 00:20 ann pays 700, 20 s after a small payment
//! 01:10 bob is watched no more
//! 01:40 cat pays 500, 60 s after a small payment
//! 03:05 ann is watched no more
//! ```

use snapline::prelude::*;
use snapline::{Error, Result};

/// When from which account how much was paid.
const PAYMENTS: [&str; 9] = [
    "00:00 ann 1",
    "00:10 bob 1",
    "00:20 ann 700",
    "00:30 cat 1",
    "00:40 cat 1",
    "00:50 dan 900",
    "01:30 bob 900",
    "01:40 cat 500",
    "02:05 ann 1",
];

/// Up to and from which amounts payments are small and large.
const SMALL: u64 = 1;
const LARGE: u64 = 500;
/// For how many milliseconds a small payment is suspicious.
const WATCH: u64 = 60_000;

/// When from which account how much was paid.
type Payment = (i64, String, u64);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let payments: Vec<Payment> = PAYMENTS.into_iter().map(payment).collect::<Result<_>>()?;
    let env = StreamExecutionEnvironment::builder().parallelism(2).build()?;
    let times = WatermarkStrategy::<Payment>::for_monotonous_timestamps()
        .with_timestamp_assigner(|(at, ..)| Timestamp(*at));
    env.from_source_with_watermarks(CollectionSource::new(payments), times, "payments")
        .parallelism(1)
        .key_by(|(_, account, _)| account.clone())
        .process(Watch::default())
        .uid("watch")
        .print();
    env.execute("fraud-detector").await?;
    Ok(())
}

#[derive(Clone, Default)]
struct Watch {
    /// When the newest small payment was, of an account that is watched.
    small: ValueState<String, i64>,
}

impl KeyedProcessFunction<String, Payment> for Watch {
    type Output = String;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.small = context.value_state("small");
        Ok(())
    }

    fn process_element(
        &mut self,
        (at, account, amount): Payment,
        context: &mut ProcessContext<'_, String>,
        out: &mut Collector<'_, String>,
    ) -> Result<()> {
        let now = Timestamp(at);
        // The timer may be due and not have fired: event time follows behind the payments.
        let watched = self.small.value(context)?.map(Timestamp);
        let since = watched.filter(|small| now.millis_since(*small) <= WATCH);
        if let Some(small) = since.filter(|_| amount >= LARGE) {
            let seconds = now.millis_since(small) / 1000;
            out.collect(format!(
                "{} {account} pays {amount}, {seconds} s after a small payment",
                clock(at)
            ));
            self.small.clear(context)?;
            return context.delete_event_time_timer(small.plus_millis(WATCH));
        }
        if amount <= SMALL {
            if let Some(before) = watched {
                context.delete_event_time_timer(before.plus_millis(WATCH))?;
            }
            self.small.update(context, at)?;
            context.register_event_time_timer(now.plus_millis(WATCH))?;
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        Timestamp(at): Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, String>,
        out: &mut Collector<'_, String>,
    ) -> Result<()> {
        self.small.clear(context)?;
        let account = context.current_key();
        out.collect(format!("{} {account} is watched no more", clock(at)));
        Ok(())
    }
}

fn payment(line: &str) -> Result<Payment> {
    let wrong = || Error::invalid("a line is not like `00:20 ann 700`").with("line", line);
    let words: Vec<&str> = line.split(' ').collect();
    let [time, account, amount] = words[..] else {
        return Err(wrong());
    };
    let (minutes, seconds) = time.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
    let at = (i64::from(number(minutes)?) * 60 + i64::from(number(seconds)?)) * 1000;
    Ok((at, account.to_owned(), number(amount)?.into()))
}

fn clock(millis: i64) -> String {
    format!("{:02}:{:02}", millis / 60_000, millis / 1000 % 60)
}
