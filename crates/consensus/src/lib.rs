//! Raft groups over one shared durable log; apply = load, decide, write.
