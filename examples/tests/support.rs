//! What the tests that run WordCount as a program have in common.

#![allow(dead_code, reason = "each test program uses its part")]

mod checkpoints;
mod output;
mod program;
mod text;

pub use checkpoints::Checkpoints;
pub use output::{Counts, assert_exactly_once, committed_lines, count_words};
pub use program::{Ended, Program, Running, start};
pub use text::{text_of, write_text_file};
