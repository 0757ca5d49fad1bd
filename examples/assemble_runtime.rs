//! A runtime of your own: pick storage, backend, executor and clock, and put a job on them.
//!
//! The facade chooses these parts for you. Here they are chosen by hand, and the executor is our own: it
//! counts what it is given and passes it on. A simulation or another async runtime comes in the same way.
//!
//! ```text
//! cargo run -p snapline-examples --bin assemble_runtime
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! odd numbers: 25
//! even numbers: 30
//! the job ran on our executor: true
//! ```

#![allow(clippy::print_stdout, reason = "this is a program, not a library")]

use futures::executor::block_on;
use futures::future::BoxFuture;
use snapline::Result;
use snapline::core::SystemClock;
use snapline::dataflow::{Components, StreamExecutionEnvironment};
use snapline::prelude::{Emit, JobSettings, MemoryCheckpointStorage, MemoryStateBackend, SequenceSource};
use snapline::runtime::{Executor, LocalCluster, TokioExecutor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counts what it runs.
#[derive(Debug)]
struct CountingExecutor {
    inner: TokioExecutor,
    spawned: AtomicUsize,
}

impl Executor for CountingExecutor {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.spawned.fetch_add(1, Ordering::Relaxed);
        self.inner.spawn(future);
    }

    fn spawn_io(&self, future: BoxFuture<'static, ()>) {
        self.inner.spawn_io(future);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }
}

fn main() -> Result<()> {
    let executor = Arc::new(CountingExecutor {
        inner: TokioExecutor::with_workers(1)?,
        spawned: AtomicUsize::new(0),
    });
    let components = Components::new(
        Arc::new(MemoryCheckpointStorage::new()),
        Arc::new(MemoryStateBackend::new()),
        Arc::new(LocalCluster::with_parts(
            executor.clone(),
            Arc::new(SystemClock::new()),
        )),
    );
    let env = StreamExecutionEnvironment::new(JobSettings::default(), components);
    env.from_source(SequenceSource::new(1..11), "numbers")
        .map(|number| {
            (
                if number % 2 == 0 {
                    "even".to_owned()
                } else {
                    "odd".to_owned()
                },
                number,
            )
        })
        .key_by(|(parity, _)| parity.clone())
        .emit(Emit::Final)
        .sum(|(_, number)| number)
        .map(|(parity, sum)| format!("{parity} numbers: {sum}"))
        .print();
    block_on(env.execute("assembled"))?;
    println!(
        "the job ran on our executor: {}",
        executor.spawned.load(Ordering::Relaxed) > 0
    );
    Ok(())
}
