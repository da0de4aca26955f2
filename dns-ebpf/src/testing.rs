//! What this crate's tests share: frames in memory, tables in memory.
