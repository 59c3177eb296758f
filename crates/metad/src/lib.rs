//! The metadata node: gRPC services over raft groups.
