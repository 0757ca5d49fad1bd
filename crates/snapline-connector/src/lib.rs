//! Sources and sinks for Snapline: the traits, two-phase commit, and connectors without dependencies.
