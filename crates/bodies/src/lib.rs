//! Message bodies over object storage: put, ranged read, format.
