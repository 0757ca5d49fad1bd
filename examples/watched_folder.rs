//! Orders that come as files: a folder is watched, and what each day has sold is added up.
//!
//! Each day has a folder of its own, named in the style of hive, `day=...`, which the records know. Files appear whole, by a
//! rename, and each is read once, also by a job that is killed and resumes. When `_SUCCESS` is there no more files come, and the
//! job ends.
//!
//! ```text
//! cargo run -p snapline-examples --bin watched_folder
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! 2024-05-01: 7 apples
//! 2024-05-02: 12 apples
//! ```

use snapline::connectors::file::{SkippedRecords, Undecodable};
use snapline::prelude::*;
use snapline::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let inbox = std::env::temp_dir().join(format!("snapline-orders-{}", std::process::id()));
    receive(&inbox, "day=2024-05-01/morning.log", "3\nsome\n")?;
    let env = StreamExecutionEnvironment::builder().parallelism(2).build()?;
    env.from_source(orders(&inbox), "orders")
        .key_by(|(day, _)| day.clone())
        .emit(Emit::Final)
        .sum(|(_, apples)| apples)
        .map(|(day, apples)| format!("{day}: {apples} apples"))
        .print();
    let job = env.execute_async("orders").await?;
    receive(&inbox, "day=2024-05-01/evening.log", "4\n")?;
    receive(&inbox, "day=2024-05-02/morning.log", "5\n7\n")?;
    receive(&inbox, "_SUCCESS", "")?;
    job.wait().await?;
    fs::remove_dir_all(&inbox)
        .map_err(|error| Error::unavailable("the folder cannot be removed").because(error))
}

/// The day and the number of each order; a line that is no number is left out.
fn orders(inbox: &Path) -> FileSource<(String, u64)> {
    let skipped = SkippedRecords::default();
    FileSource::with_decoder(inbox.join("*/*.log"), number)
        .with_origin(|apples, file| (file.partition("day").unwrap_or("?").to_owned(), apples))
        .on_undecodable(Undecodable::Skip(skipped))
        .watch(Duration::from_millis(20))
        .until_exists(inbox.join("_SUCCESS"))
}

fn number(line: &[u8]) -> Result<u64> {
    let text = String::from_utf8_lossy(line);
    text.parse()
        .map_err(|error| Error::invalid("an order must be a number").because(error))
}

/// A file appears as a whole.
fn receive(inbox: &Path, name: &str, content: &str) -> Result<()> {
    let path: PathBuf = inbox.join(name);
    let hidden = inbox.join(".coming");
    let received = fs::create_dir_all(path.parent().unwrap_or(inbox))
        .and_then(|()| fs::write(&hidden, content))
        .and_then(|()| fs::rename(&hidden, &path));
    received.map_err(|error| {
        Error::unavailable("a file cannot be written")
            .with("path", path.display())
            .because(error)
    })
}
