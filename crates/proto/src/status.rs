//! Errors of calls as tonic statuses.
