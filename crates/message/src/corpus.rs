//! Messages for tests.
