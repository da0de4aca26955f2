//! What the tests of the server share. The package of the tests uses all of it but the server.

pub(crate) mod meaning;
pub(crate) mod recorded;
pub(crate) mod server;
pub(crate) mod upstream;
