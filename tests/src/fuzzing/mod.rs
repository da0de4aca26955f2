//! What fuzzing asks of everything that reads bytes: more than not to panic.
//!
//! Each function takes any bytes and panics where a property does not hold. `tests/fuzz` calls them with bytes that
//! libFuzzer makes (`cargo xtask fuzz`), and `tests/corpora.rs` with those that it has kept, in every ordinary test run.

mod corefile;
mod frame;
mod manifests;
mod message;
mod name;
mod object;
mod rules;

pub use corefile::corefile;
pub use frame::frame;
pub use manifests::manifests;
pub use message::message;
pub use name::name;
pub use object::object;
pub use rules::rules;

/// Panics where a property does not hold for these bytes.
pub type Check = fn(&[u8]);

/// What can be fuzzed: the name of the target and of its corpus, and the function.
pub const TARGETS: [(&str, Check); 7] = [
    ("corefile", corefile),
    ("frame", frame),
    ("manifests", manifests),
    ("message", message),
    ("name", name),
    ("object", object),
    ("rules", rules),
];
