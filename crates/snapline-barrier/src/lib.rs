//! Barrier alignment for Snapline: aligner, tracker and channel checks, without any IO.
