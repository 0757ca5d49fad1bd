//! What the process has used so far, as Linux tells it.

use std::time::Duration;

/// CPU time and memory; `None` where `/proc` does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// User and system time of all threads, to a hundredth of a second.
    pub cpu_seconds: Option<f64>,
    /// The memory that is resident, in 10^6 bytes.
    pub rss_mb: Option<f64>,
    /// The most memory that was resident, in 10^6 bytes.
    pub peak_rss_mb: Option<f64>,
}

/// Linux counts in these units for every program, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

impl Usage {
    /// What the process has used until now.
    pub fn now() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        let status = read("/proc/self/status");
        Self {
            cpu_seconds: read("/proc/self/stat").as_deref().and_then(cpu_seconds),
            rss_mb: status.as_deref().and_then(|status| megabytes(status, "VmRSS:")),
            peak_rss_mb: status.as_deref().and_then(|status| megabytes(status, "VmHWM:")),
        }
    }
}

/// For how long the calling thread could have run so far but did not, since another had the core; zero where Linux does not
/// tell.
///
/// What a piece of work takes is the time that has passed without this. What it waits for otherwise, a lock or memory, is
/// its own affair.
pub fn waited_for_a_core() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat");
    schedstat.map_or(Duration::ZERO, |schedstat| run_delay(&schedstat))
}

/// The second of three numbers, in nanoseconds.
fn run_delay(schedstat: &str) -> Duration {
    let nanos = schedstat.split_whitespace().nth(1);
    nanos
        .and_then(|nanos| nanos.parse().ok())
        .map_or(Duration::ZERO, Duration::from_nanos)
}

/// The name of the program may hold anything, so counting begins behind its closing parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse().ok())
        .collect();
    (ticks.len() == 2).then(|| (ticks[0] + ticks[1]) / TICKS_PER_SECOND)
}

fn megabytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_program_name() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(megabytes("Name: x\nVmHWM:\t  1000 kB\n", "VmHWM:"), Some(1.024));
        assert_eq!(run_delay("95543 2870167 2\n"), Duration::from_nanos(2_870_167));
        assert_eq!(run_delay(""), Duration::ZERO);
        assert_eq!(
            (cpu_seconds(""), megabytes("VmHWM: many", "VmHWM:")),
            (None, None)
        );
    }
}
