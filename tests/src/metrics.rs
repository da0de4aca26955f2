//! Prometheus text: fetched from inside a namespace, and summed.

use std::net::SocketAddr;

use anyhow::Result;

use crate::http;
use crate::namespace::Namespace;

/// Questions that the kernel has answered, by type and response code.
pub const KERNEL_ANSWERS: &str = "kxdns_kernel_answers_total";
/// Packets that the kernel has passed on, by reason.
pub const KERNEL_PASSES: &str = "kxdns_kernel_passes_total";

/// One reading of a program's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Takes text that was read already.
    pub fn from_text(text: String) -> Metrics {
        Metrics { text }
    }

    /// Fetches `http://ADDRESS/metrics` from inside the namespace.
    pub fn scrape(namespace: &Namespace, address: SocketAddr) -> Result<Metrics> {
        let text = http::get(namespace, address, "/metrics")?;
        Ok(Metrics { text })
    }

    /// Sums a metric over all series that carry the given labels. No such series makes 0, as before the first event.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let carries = |series: &str| labels.iter().all(|(key, value)| has_label(series, key, value));
        self.series(name)
            .filter(|(series, _)| carries(series))
            .map(|(_, value)| value)
            .sum()
    }

    /// The labels and value of each series of a metric.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.text.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            // Another metric may begin with this one's name.
            let whole = labels.is_empty() || labels.starts_with('{');
            if whole {
                Some((labels, value.parse().ok()?))
            } else {
                None
            }
        })
    }
}

fn has_label(series: &str, key: &str, value: &str) -> bool {
    let pair = format!("{key}=\"{value}\"");
    series
        .match_indices(&pair)
        .any(|(at, _)| series[..at].ends_with(['{', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Metrics {
        let text = "# TYPE a counter\na_total{type=\"A\",rcode=\"0\"} 3\na_total{type=\"AAAA\",rcode=\"0\"} 4\n\
                    a_total_more 9\nsynced 1\n";
        Metrics { text: text.to_owned() }
    }

    #[test]
    fn sums_only_the_series_with_the_labels() {
        assert_eq!(sample().sum("a_total", &[]), 7.0);
        assert_eq!(sample().sum("a_total", &[("type", "A")]), 3.0);
        assert_eq!(sample().sum("a_total", &[("type", "A"), ("rcode", "3")]), 0.0);
    }

    #[test]
    fn reads_a_series_without_labels() {
        assert_eq!(sample().sum("synced", &[]), 1.0);
    }
}
