//! Conformance suites and faults for Snapline's traits.
