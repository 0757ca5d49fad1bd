//! State for Snapline: the traits behind state backends and checkpoint storage, and typed states.
