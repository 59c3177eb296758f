//! Where accounts live.
