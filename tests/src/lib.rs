//! Sandbox for tests of the whole: starts the real binary and talks to it.
