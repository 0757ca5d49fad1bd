//! The DataStream API of Snapline: environment, streams, operators, graph, chaining.
