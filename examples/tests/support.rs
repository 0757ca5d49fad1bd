//! What the tests that run WordCount as a program have in common.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod checkpoints;
mod output;
mod program;
mod text;

pub(crate) use checkpoints::Checkpoints;
pub(crate) use output::{Counts, assert_exactly_once, committed_lines, count_words};
pub(crate) use program::{Ended, Program, Running, start};
pub(crate) use text::{text_of, write_text_file};
