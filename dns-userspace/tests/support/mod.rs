//! What the tests of the server share.

pub(crate) mod meaning;
pub(crate) mod server;
