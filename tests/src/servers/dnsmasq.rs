//! dnsmasq, with the zone's addresses as a hosts file.

use anyhow::Result;

use super::{Server, Zone, command};
use crate::namespace::Namespace;

const CONFIGURATION: &str = include_str!("../../servers/dnsmasq.conf");
const PATH: &str = "/run/dnsmasq/dnsmasq.conf";

/// Starts dnsmasq as a server of the zone's addresses, in a namespace of its own.
///
/// It has no zones: its negative answers have no SOA.
pub fn start_dnsmasq(namespace: &Namespace, zone: &Zone<'_>) -> Result<Server> {
    let hosts: String = zone
        .records
        .iter()
        .map(|(name, address)| format!("{address} {name}\n"))
        .collect();
    namespace.write("/run/dnsmasq/hosts", hosts)?;
    namespace.write(PATH, zone.fill(CONFIGURATION))?;
    let mut command = command(namespace, "dnsmasq")?;
    command.arg(format!("--conf-file={PATH}"));
    zone.start("dnsmasq", namespace, command)
}
