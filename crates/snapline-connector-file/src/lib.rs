//! Files as sources and exactly-once sinks for Snapline.
