//! Typed calls to metadata nodes; follows leaders; change streams.
