//! Orders are taxed by rules that change: a keyed stream meets a broadcast one, and each order gets the rule of its moment.
//!
//! All subtasks are told all rules, and keep them with the time from which each is valid. An order waits in the state of its
//! customer until event time has passed it, so that no rule for it can come any more, in whichever order orders and
//! rules arrive.
//!
//! ```text
//! cargo run -p snapline-examples --bin enrichment
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! 00:05 ann bread 200 + 10
//! 00:10 bob wine 1000 + 100
//! 00:20 ann wine 500 + 50
//! 00:40 ann wine 500 + 100
//! 00:50 bob cheese 300 + 0
//! ```

use snapline::prelude::*;
use snapline::{Error, Result};
use std::time::Duration;

/// From when on which goods are taxed at how many per cent. The last one comes while earlier orders are still on their way.
const RULES: [&str; 3] = ["00:00 bread 5", "00:00 wine 10", "00:30 wine 20"];

/// When who has bought what for how much, up to half an hour late.
const ORDERS: [&str; 5] = [
    "00:05 ann bread 200",
    "00:40 ann wine 500",
    "00:10 bob wine 1000",
    "00:20 ann wine 500",
    "00:50 bob cheese 300",
];

/// When who has bought what for how much.
type Order = (i64, String, String, u64);

/// From when on a good is taxed at how many per cent.
type Rule = (i64, String, u64);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let env = StreamExecutionEnvironment::builder().parallelism(2).build()?;
    let orders: Vec<Order> = ORDERS.into_iter().map(order).collect::<Result<_>>()?;
    let rules: Vec<Rule> = RULES.into_iter().map(rule).collect::<Result<_>>()?;
    let orders = env.from_source(CollectionSource::new(orders), "orders");
    let rules = env.from_source(CollectionSource::new(rules), "rules");
    taxed(&orders, &rules).print();
    env.execute("enrichment").await?;
    Ok(())
}

fn taxed(orders: &DataStream<Order>, rules: &DataStream<Rule>) -> DataStream<String> {
    let late = WatermarkStrategy::<Order>::for_bounded_out_of_orderness(Duration::from_secs(30 * 60));
    let orders =
        orders.assign_timestamps_and_watermarks(late.with_timestamp_assigner(|order| Timestamp(order.0)));
    let in_order = WatermarkStrategy::<Rule>::for_monotonous_timestamps();
    let rules =
        rules.assign_timestamps_and_watermarks(in_order.with_timestamp_assigner(|rule| Timestamp(rule.0)));
    let by_customer = orders.key_by(|order| order.1.clone());
    by_customer
        .connect_broadcast(&rules)
        .process(Tax::default())
        .uid("tax")
}

#[derive(Clone, Default)]
struct Tax {
    /// The rate of a good from a time on.
    rates: BroadcastState<(String, i64), u64>,
    /// The orders of a customer by their time.
    waiting: MapState<String, i64, Vec<Order>>,
}

impl KeyedBroadcastProcessFunction<String, Order, Rule> for Tax {
    type Output = String;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.rates = context.broadcast_state("rates");
        self.waiting = context.map_state("waiting");
        Ok(())
    }

    fn process_element(
        &mut self,
        order: Order,
        context: &mut ProcessContext<'_, String>,
        _out: &mut Collector<'_, String>,
    ) -> Result<()> {
        let at = order.0;
        let mut of_then = self.waiting.get(context, &at)?.unwrap_or_default();
        of_then.push(order);
        self.waiting.put(context, at, of_then)?;
        context.register_event_time_timer(Timestamp(at))
    }

    fn process_broadcast_element(
        &mut self,
        (from, good, rate): Rule,
        context: &mut KeyedBroadcastContext<'_, String>,
        _out: &mut Collector<'_, String>,
    ) -> Result<()> {
        context.broadcast_state(&self.rates)?.insert((good, from), rate)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        Timestamp(at): Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, String>,
        out: &mut Collector<'_, String>,
    ) -> Result<()> {
        let rates = context.broadcast_state(&self.rates)?;
        for (_, customer, good, amount) in self.waiting.remove(context, &at)?.unwrap_or_default() {
            let of_good = rates.range((good.clone(), i64::MIN)..=(good.clone(), at));
            let rate = of_good.last().map_or(0, |(_, rate)| *rate);
            out.collect(format!(
                "{} {customer} {good} {amount} + {}",
                clock(at),
                amount * rate / 100
            ));
        }
        Ok(())
    }
}

fn order(line: &str) -> Result<Order> {
    let [at, customer, good, amount] = words(line)?;
    Ok((millis(at)?, customer.to_owned(), good.to_owned(), number(amount)?))
}

fn rule(line: &str) -> Result<Rule> {
    let [from, good, rate] = words(line)?;
    Ok((millis(from)?, good.to_owned(), number(rate)?))
}

fn words<const N: usize>(line: &str) -> Result<[&str; N]> {
    let words: Vec<&str> = line.split(' ').collect();
    words.try_into().map_err(|_| wrong(line))
}

fn millis(time: &str) -> Result<i64> {
    let (hours, minutes) = time.split_once(':').ok_or_else(|| wrong(time))?;
    Ok((number::<i64>(hours)? * 60 + number::<i64>(minutes)?) * 60_000)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| wrong(text))
}

fn wrong(text: &str) -> Error {
    Error::invalid("a line is not like its siblings").with("text", text)
}

fn clock(millis: i64) -> String {
    format!("{:02}:{:02}", millis / 3_600_000, millis / 60_000 % 60)
}
