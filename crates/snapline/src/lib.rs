//! Fault-tolerant stream processing with exactly-once results, as a library.
