//! The directives that open a port for HTTP: `prometheus`, `health` and `ready`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::address::{ANY, read_listen_address};
use super::duration::read_duration;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};

/// The `health` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Where `/health` is served; `[::]` stands for all addresses of both families.
    pub address: SocketAddr,
    /// How long to go on serving after the signal to stop.
    pub lameduck: Duration,
}

pub(super) const HEALTH: Shape = Shape {
    arguments: Count::between(0, 1),
    options: &[option("lameduck", Count::ONE).in_force()],
};

pub(super) const PROMETHEUS: Shape = Shape {
    arguments: Count::between(0, 1),
    options: &[option("runtime_metrics", Count::NONE), option("tls", Count::ONE)],
};

pub(super) const READY: Shape = Shape {
    arguments: Count::between(0, 1),
    // Either way of it: what is ready stays so.
    options: &[option("monitor", Count::ONE).in_force()],
};

const READY_MONITORS: [&str; 2] = ["until-ready", "continuously"];

/// Reads `health [ADDRESS] { lameduck DURATION }`.
pub(super) fn read_health(statement: &Statement, report: &mut Report) -> Health {
    let lameduck = statement
        .value("lameduck")
        .and_then(|word| report.keep(read_duration(word)));
    Health {
        address: read_address(statement, (ANY, 8080).into(), report),
        lameduck: lameduck.unwrap_or_default(),
    }
}

/// Reads `prometheus [ADDRESS]`.
pub(super) fn read_prometheus(statement: &Statement, report: &mut Report) -> SocketAddr {
    read_address(statement, (Ipv4Addr::LOCALHOST, 9153).into(), report)
}

/// Reads `ready [ADDRESS] { monitor WHEN }`.
pub(super) fn read_ready(statement: &Statement, report: &mut Report) -> SocketAddr {
    if let Some(word) = statement
        .value("monitor")
        .filter(|word| !READY_MONITORS.contains(&word.text.as_str()))
    {
        report.keep::<()>(Err(word.unexpected("`until-ready` or `continuously`")));
    }
    read_address(statement, (ANY, 8181).into(), report)
}

fn read_address(statement: &Statement, default: SocketAddr, report: &mut Report) -> SocketAddr {
    let address = statement
        .arguments
        .first()
        .and_then(|word| report.keep(read_listen_address(word)));
    address.unwrap_or(default)
}
