//! What the machine can do, so that a figure can be judged.

use crate::random::mix;
use serde::Serialize;
use snapline_core::{Clock, SystemClock};
use std::fs::File;
use std::hint::black_box;
use std::io::{Result, Write};
use std::path::Path;

const COPIED: usize = 64 << 20;
const WALKED: usize = 16 << 20;
const STEPS: usize = 4_000_000;
const SYNCS: u32 = 20;

/// Ceilings of one thread, measured now.
#[derive(Debug, Clone, Serialize)]
pub struct Ceilings {
    /// The processor's name.
    pub cpu: Option<String>,
    /// How many threads run at once.
    pub threads: usize,
    /// Copying 64 MiB.
    pub memcpy_gb_per_s: f64,
    /// One access to 128 MiB that depends on the one before.
    pub dependent_access_ns: f64,
    /// Appending 4 KiB and making it durable.
    pub fdatasync_ms: f64,
}

impl Ceilings {
    /// Measures; writes a small file in `folder`.
    ///
    /// # Errors
    /// What the folder answers.
    pub fn measure(folder: &Path) -> Result<Self> {
        let clock = SystemClock::new();
        Ok(Self {
            cpu: cpu_name(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memcpy_gb_per_s: memcpy(&clock),
            dependent_access_ns: walk(&clock),
            fdatasync_ms: sync(&clock, folder)?,
        })
    }
}

fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memcpy(clock: &impl Clock) -> f64 {
    let from = vec![1_u8; COPIED];
    let mut to = vec![2_u8; COPIED];
    let start = clock.monotonic();
    for _ in 0..8 {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    }
    8.0 * COPIED as f64 / 1e9 / (clock.monotonic() - start).as_secs_f64()
}

fn walk(clock: &impl Clock) -> f64 {
    let places: Vec<u64> = (0..WALKED as u64).map(mix).collect();
    let start = clock.monotonic();
    let mut at = 0_u64;
    for step in 0..STEPS {
        at = places[(at as usize ^ step) % WALKED];
    }
    black_box(at);
    (clock.monotonic() - start).as_secs_f64() * 1e9 / STEPS as f64
}

fn sync(clock: &impl Clock, folder: &Path) -> Result<f64> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path)?;
    let start = clock.monotonic();
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    let ms = (clock.monotonic() - start).as_secs_f64() * 1e3 / f64::from(SYNCS);
    std::fs::remove_file(path)?;
    Ok(ms)
}
