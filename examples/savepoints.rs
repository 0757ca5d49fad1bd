//! An upgrade without loss: stop a job with a savepoint, and start a changed program from it.
//!
//! A savepoint is a checkpoint that you ask for and own. The job stops exactly there; the new version
//! goes on with the same counts, found by their uid, although it has an operator more.
//!
//! ```text
//! cargo run -p snapline-examples --bin savepoints
//! ```
//!
//! Expected output:
//!
//! ```text
//! version 1 has counted [("apple", 2), ("pear", 1)]
//! the savepoint is at upgrades/version-1
//! version 1 is Suspended
//! version 2 has counted [("APPLE", 3), ("PEAR", 2), ("PLUM", 1)]
//! ```

#![allow(clippy::print_stdout, reason = "this is a program, not a library")]

use snapline::Result;
use snapline::connector::Collected;
use snapline::core::ClaimMode;
use snapline::dataflow::SavepointRequest;
use snapline::prelude::*;
use std::collections::BTreeMap;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Counts = DataStream<(String, u64)>;

fn count(fruits: &DataStream<String>) -> Counts {
    fruits
        .map(|fruit| (fruit, 1))
        .key_by(|(fruit, _)| fruit.clone())
        .sum(|(_, count)| count)
        .uid("count")
}

/// What version 2 does besides.
fn shout(counts: &Counts) -> Counts {
    counts.map(|(fruit, count)| (fruit.to_uppercase(), count))
}

fn newest(results: &Collected<(String, u64)>) -> Vec<(String, u64)> {
    results
        .take()
        .into_iter()
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let storage = MemoryCheckpointStorage::new();
    let (sink, results) = CollectSink::new();

    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(storage.clone())
        .build()?;
    let (basket, fruits) = ChannelSource::bounded(16);
    count(&env.from_source(fruits, "fruits").uid("fruits"))
        .sink_to(sink.clone())
        .uid("results");
    let job = env.execute_async("version-1").await?;
    for fruit in ["apple", "pear", "apple"] {
        basket.send(fruit.to_owned()).await?;
    }
    let savepoint = job
        .savepoint(SavepointRequest::new("upgrades/version-1").suspend())
        .await?;
    let state = job.wait().await?.status.state;
    println!("version 1 has counted {:?}", newest(&results));
    println!("the savepoint is at {}", savepoint.path);
    println!("version 1 is {state:?}");

    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(storage)
        .restore_from(&savepoint.path, ClaimMode::NoClaim)
        .build()?;
    let (basket, fruits) = ChannelSource::bounded(16);
    let counts = count(&env.from_source(fruits, "fruits").uid("fruits"));
    shout(&counts).sink_to(sink).uid("results");
    let job = env.execute_async("version-2").await?;
    for fruit in ["plum", "apple", "pear"] {
        basket.send(fruit.to_owned()).await?;
    }
    drop(basket);
    job.wait().await?;
    println!("version 2 has counted {:?}", newest(&results));
    Ok(())
}
