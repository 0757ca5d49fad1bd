//! What is said on standard error: how far long work is, and what went wrong.

use std::io::{IsTerminal, Write};

/// After how many entries the line is written again.
const STEP: u64 = 50_000;

/// One line on a terminal that counts; nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    count: u64,
    is_shown: bool,
}

impl Progress {
    /// Nothing counted yet.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            count: 0,
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    /// One more.
    pub(crate) fn step(&mut self) {
        self.count += 1;
        if self.is_shown && self.count.is_multiple_of(STEP) {
            let _ = write!(
                std::io::stderr().lock(),
                "\r{}: {} entries",
                self.what,
                self.count
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown && self.count >= STEP {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// One line. That nobody hears it does not matter.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
