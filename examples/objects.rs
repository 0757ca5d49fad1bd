//! Numbers into objects of a store, each exactly once.
//!
//! The store is in memory here; `ObjectSink::lines("s3://bucket/prefix")` and its like write to a bucket, with the features `aws`,
//! `gcp` and `azure`. Objects are uploaded in parts while records come, and appear when their checkpoint is complete, whole.
//!
//! ```text
//! cargo run -p snapline-examples --features servers --bin objects
//! ```
//!
//! Expected output:
//!
//! ```text
//! the sum of 1000 numbers is 499500
//! ```

#![allow(clippy::print_stdout, reason = "this is a program, not a library")]

use futures::TryStreamExt;
use snapline::connectors::object::ObjectSink;
use snapline::connectors::object::object_store::memory::InMemory;
use snapline::connectors::object::object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};
use snapline::prelude::*;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(InMemory::new());
    let env = StreamExecutionEnvironment::builder()
        .parallelism(2)
        .checkpoint_storage(MemoryCheckpointStorage::new())
        .build()?;
    env.enable_checkpointing(Duration::from_millis(100));
    let lines = ObjectSink::over(store.clone(), "results", |number: &u64, bytes: &mut Vec<u8>| {
        bytes.extend(format!("{number}\n").into_bytes());
    })?;
    env.from_source(SequenceSource::new(0..1000), "numbers")
        .rebalance()
        .sink_to(lines)
        .uid("results");
    env.execute("numbers").await?;
    let numbers = read(&store).await?;
    println!(
        "the sum of {} numbers is {}",
        numbers.len(),
        numbers.iter().sum::<u64>()
    );
    Ok(())
}

/// The numbers of all objects that are results.
async fn read(store: &InMemory) -> Result<Vec<u64>, StoreError> {
    let objects: Vec<_> = store.list(None).try_collect().await?;
    let mut numbers = Vec::new();
    for object in objects {
        if object
            .location
            .filename()
            .is_some_and(|name| name.starts_with("part-"))
        {
            let bytes = store.get(&object.location).await?.bytes().await?;
            let text = String::from_utf8_lossy(&bytes);
            numbers.extend(text.lines().filter_map(|line| line.parse::<u64>().ok()));
        }
    }
    Ok(numbers)
}
