//! Groups in one process.
