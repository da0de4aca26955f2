//! Knot DNS, with the zone as a zone file.

use anyhow::Result;

use super::{Server, Zone, command};
use crate::namespace::Namespace;

const CONFIGURATION: &str = include_str!("../../servers/knot.conf");
const PATH: &str = "/run/knot/knot.conf";

/// Starts Knot DNS as a server of the zone, in a namespace of its own.
pub fn start_knot(namespace: &Namespace, zone: &Zone<'_>) -> Result<Server> {
    let records: String = zone.resource_records().map(|record| record + "\n").collect();
    namespace.write("/run/knot/zone", records)?;
    namespace.write(PATH, zone.fill(CONFIGURATION))?;
    let mut command = command(namespace, "knotd")?;
    command.args(["--config", PATH]);
    zone.start("knotd", namespace, command)
}
