//! How much is done: the same benchmarks, longer or shorter.

use serde::{Deserialize, Serialize};

/// How long a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effort {
    /// Everything once, under three minutes: shows that it works, not how fast.
    Quick,
    /// Figures to work by.
    Usual,
    /// Figures to publish.
    Full,
}

impl Effort {
    /// What goes with each, in order.
    pub(crate) fn pick<T>(self, quick: T, usual: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Usual => usual,
            Self::Full => full,
        }
    }
}
