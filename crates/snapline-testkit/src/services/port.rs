//! Ports on which nobody listens.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that connections get, so that none takes it while its server restarts.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;

/// A free port on loopback, another one with each call.
pub(super) fn free() -> Result<u16, String> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let seed = process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + seed.wrapping_add(number) % COUNT;
        let port = u16::try_from(port).map_err(|_| "there is no such port".to_owned())?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("there is no free port".to_owned())
}
