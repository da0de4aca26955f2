//! Histograms of the metrics: what came between two readings, and its percentiles.

use std::ops::Sub;

use crate::metrics::Metrics;

/// One reading of a histogram. Each bucket holds the values up to its bound, those of smaller bounds among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Bound and count, ascending; the last bound is infinite.
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    /// Reads a histogram, all its series added up. One that has no series is empty.
    pub fn read(metrics: &Metrics, name: &str) -> Histogram {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (labels, count) in metrics.series(&format!("{name}_bucket")) {
            let Some(bound) = bound_of(labels) else { continue };
            match buckets.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, total)) => *total += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let sum = metrics.sum(&format!("{name}_sum"), &[]);
        Histogram { buckets, sum }
    }

    /// How many values there are.
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The mean of the values; `None` of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0.0).then(|| self.sum / self.count())
    }

    /// Bounds between which the value at this share (0 to 1) lies; the lower is 0 in the first bucket, the upper
    /// infinite in the last. `None` of no values.
    pub fn bounds(&self, share: f64) -> Option<(f64, f64)> {
        let at = self.bucket_of(share)?;
        Some((self.below(at).0, self.buckets.get(at)?.0))
    }

    /// The value at this share, estimated as Prometheus does: values lie evenly within their bucket, and those of the
    /// last, which has no end, at its lower bound.
    pub fn estimate(&self, share: f64) -> Option<f64> {
        let at = self.bucket_of(share)?;
        let ((lower, before), (upper, count)) = (self.below(at), *self.buckets.get(at)?);
        let part = (share * self.count() - before) / (count - before);
        Some(if upper.is_finite() {
            lower + (upper - lower) * part
        } else {
            lower
        })
    }

    fn bucket_of(&self, share: f64) -> Option<usize> {
        let rank = share * self.count();
        self.buckets
            .iter()
            .position(|(_, count)| *count > 0.0 && *count >= rank)
    }

    /// The bound and the count below a bucket.
    fn below(&self, bucket: usize) -> (f64, f64) {
        let before = bucket.checked_sub(1).and_then(|before| self.buckets.get(before));
        before.copied().unwrap_or_default()
    }
}

/// What came since an earlier reading of the same histogram.
impl Sub<&Histogram> for &Histogram {
    type Output = Histogram;

    fn sub(self, earlier: &Histogram) -> Histogram {
        let before = |bound| {
            let same = earlier.buckets.iter().find(|(other, _)| *other == bound);
            same.map_or(0.0, |(_, count)| *count)
        };
        let buckets = self
            .buckets
            .iter()
            .map(|(bound, count)| (*bound, count - before(*bound)));
        Histogram {
            buckets: buckets.collect(),
            sum: self.sum - earlier.sum,
        }
    }
}

fn bound_of(labels: &str) -> Option<f64> {
    let (_, rest) = labels.split_once("le=\"")?;
    let (bound, _) = rest.split_once('"')?;
    // Rust reads "+Inf" as infinity.
    bound.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(counts: [u32; 4], sum: f64) -> Histogram {
        let [a, b, c, all] = counts;
        let text = format!(
            "# TYPE t histogram\nt_bucket{{le=\"1e-06\"}} {a}\nt_bucket{{le=\"2e-06\"}} {b}\n\
             t_bucket{{le=\"0.000004\"}} {c}\nt_bucket{{le=\"+Inf\"}} {all}\nt_sum {sum}\nt_count {all}\n"
        );
        Histogram::read(&Metrics::from_text(text), "t")
    }

    #[test]
    fn a_percentile_lies_between_the_bounds_of_its_bucket() {
        let histogram = reading([50, 98, 99, 100], 2e-4);
        assert_eq!(histogram.bounds(0.5), Some((0.0, 1e-6)));
        assert_eq!(histogram.bounds(0.51), Some((1e-6, 2e-6)));
        assert_eq!(histogram.bounds(0.99), Some((2e-6, 4e-6)));
        assert_eq!(histogram.bounds(1.0), Some((4e-6, f64::INFINITY)));
        assert_eq!(histogram.mean(), Some(2e-6));
    }

    #[test]
    fn the_difference_holds_what_came_in_between() {
        let difference = &reading([50, 98, 99, 100], 3e-4) - &reading([50, 50, 50, 50], 5e-5);
        assert_eq!(difference.count(), 50.0);
        assert_eq!(difference.bounds(0.0), Some((1e-6, 2e-6)));
        assert_eq!(difference.bounds(0.5), Some((1e-6, 2e-6)));
        assert_eq!(difference.bounds(0.97), Some((2e-6, 4e-6)));
    }

    #[test]
    fn an_estimate_lies_evenly_within_its_bucket() {
        let histogram = reading([0, 50, 100, 104], 0.0);
        assert_eq!(histogram.estimate(25.0 / 104.0), Some(1.5e-6));
        assert_eq!(histogram.estimate(50.0 / 104.0), Some(2e-6));
        assert_eq!(histogram.estimate(75.0 / 104.0), Some(3e-6));
        assert_eq!(histogram.estimate(1.0), Some(4e-6));
        assert_eq!(reading([0; 4], 0.0).estimate(0.5), None);
    }

    #[test]
    fn series_with_other_labels_are_added_up() {
        let text = "t_bucket{kind=\"a\",le=\"1.0\"} 2\nt_bucket{le=\"1.0\",kind=\"b\"} 3\n\
                    t_bucket{kind=\"a\",le=\"+Inf\"} 4\nt_bucket{kind=\"b\",le=\"+Inf\"} 5\n";
        let histogram = Histogram::read(&Metrics::from_text(text.to_owned()), "t");
        assert_eq!(histogram.count(), 9.0);
        assert_eq!(histogram.bounds(0.5), Some((0.0, 1.0)));
    }

    #[test]
    fn nothing_has_no_percentile() {
        let nothing = Histogram::read(&Metrics::from_text(String::new()), "t");
        assert_eq!(
            (nothing.count(), nothing.mean(), nothing.bounds(0.5)),
            (0.0, None, None)
        );
        let unused = reading([0; 4], 0.0);
        assert_eq!((unused.mean(), unused.bounds(0.5)), (None, None));
    }
}
