//! Responses as values, and their way into bytes.
