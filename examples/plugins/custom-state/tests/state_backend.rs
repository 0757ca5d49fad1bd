//! The conformance suite.

use custom_state::SortedBackend;

snapline_testkit::state_backend_suite!(sorted, || SortedBackend);
