//! How long to wait between two tries, so that many agents that fail together do not come back together.

use std::time::Duration;

/// The shortest pause.
pub(super) const SHORTEST: Duration = Duration::from_millis(500);

/// The longest pause, before chance adds half as much.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(SHORTEST)
    }
}

impl Pauses {
    /// How long to wait now; longer the next time.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause + jitter(pause / 2)
    }
}

/// Any time up to this one.
pub(super) fn jitter(most: Duration) -> Duration {
    most.mul_f64(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_differ() {
        let mut pauses = Pauses::default();
        for expected in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let (pause, least) = (pauses.next(), Duration::from_millis(expected));
            assert!(pause >= least && pause <= least * 3 / 2, "{pause:?} for {least:?}");
        }
        let differ = |_| Pauses::default().next();
        assert!((0..10).map(differ).collect::<std::collections::HashSet<_>>().len() > 1);
    }
}
