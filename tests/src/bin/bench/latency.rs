//! Times of answers, as figures.

use kxdns_tests::load::LoadReport;

use crate::results::{Distribution, Unit};

/// The columns of a table of times.
pub(crate) const LATENCY: [(&str, Unit); 6] = [
    ("p50", Unit::Seconds),
    ("p90", Unit::Seconds),
    ("p99", Unit::Seconds),
    ("p99.9", Unit::Seconds),
    ("longest", Unit::Seconds),
    ("lost", Unit::Count),
];

/// A round's samples for [`LATENCY`].
pub(crate) fn samples(report: &LoadReport) -> [Option<f64>; 6] {
    let [p50, p90, p99, p999, longest] =
        [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| Some(report.percentile(share).as_secs_f64()));
    [p50, p90, p99, p999, longest, Some(report.lost as f64)]
}

/// The shares at which a distribution is written down.
const SHARES: [f64; 14] = [
    0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0,
];

/// The distribution of all rounds' times together.
pub(crate) fn distribution(picture: &str, name: &str, times: &Times) -> Distribution {
    let at = |share| (share, times.value_at_quantile(share) as f64 / 1e9);
    Distribution {
        picture: picture.to_owned(),
        name: name.to_owned(),
        quantiles: SHARES.map(at).into(),
    }
}

/// Nanoseconds.
pub(crate) type Times = hdrhistogram::Histogram<u64>;
