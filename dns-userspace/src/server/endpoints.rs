//! Where the server listens, by the Corefile, and who takes the questions there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;

use super::Context;
use super::plugin::{self, Plugin, Site, join};
use crate::corefile::{Config, ServerBlock};
use crate::name::Name;
use crate::zone::SharedZoneTable;

/// A place where the server listens, and who takes the questions there.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// The server blocks by their zones; the one with the longest zone that holds a name takes it.
    pub(super) blocks: Vec<(Name, Arc<Block>)>,
    /// Whether questions of any class are taken, as if they were of class IN; else they are refused.
    pub(super) any_class: bool,
}

impl Endpoint {
    /// One that answers from the cluster's zones alone.
    pub(super) fn of_zones(zones: SharedZoneTable) -> Self {
        let plugins = vec![plugin::kubernetes(zones)];
        Self {
            blocks: vec![(Name::root(), Arc::new(Block::new(plugins)))],
            any_class: false,
        }
    }
}

/// A server block: what becomes of the questions that it takes.
pub(super) struct Block {
    pub(super) plugins: Vec<Box<dyn Plugin>>,
    /// The most that a client's OPT record may give as payload size, in bytes.
    pub(super) payload_limit: Option<u16>,
}

impl Block {
    pub(super) fn new(plugins: Vec<Box<dyn Plugin>>) -> Self {
        Self {
            payload_limit: plugins.iter().filter_map(|plugin| plugin.payload_limit()).min(),
            plugins,
        }
    }
}

/// Where the server listens, in the order of the Corefile, and who answers there.
///
/// # Errors
///
/// A file that the Corefile names and that cannot be read.
pub fn endpoints(config: &Config, context: &Context) -> Result<Vec<(SocketAddr, Endpoint)>> {
    let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let mut endpoints: Vec<(SocketAddr, Endpoint)> = Vec::new();
    for server in &config.servers {
        let addresses = if server.bind.is_empty() {
            &everywhere[..]
        } else {
            &server.bind
        };
        let places = places(server, addresses);
        let zones: Vec<_> = server.keys.iter().map(|key| key.zone.clone()).collect();
        let site = Site {
            server: places.first().map(|place| label(*place)).unwrap_or_default(),
            zones: join(&zones),
        };
        let block = Arc::new(Block::new(plugin::build(server, &site, context)?));
        for place in places {
            let index = endpoints
                .iter()
                .position(|(other, _)| *other == place)
                .unwrap_or_else(|| {
                    endpoints.push((place, Endpoint::default()));
                    endpoints.len() - 1
                });
            let endpoint = &mut endpoints[index].1;
            // As in CoreDNS: with either of them in a block, the class of a question makes no difference.
            endpoint.any_class |= ["chaos", "forward"].iter().any(|directive| server.has(directive));
            let keys = server.keys.iter().filter(|key| key.port == place.port());
            endpoint
                .blocks
                .extend(keys.map(|key| (key.zone.clone(), block.clone())));
        }
    }
    Ok(endpoints)
}

/// The addresses and ports of a block, each once.
fn places(server: &ServerBlock, addresses: &[IpAddr]) -> Vec<SocketAddr> {
    let mut places = Vec::new();
    for key in &server.keys {
        let new = addresses.iter().map(|&address| SocketAddr::new(address, key.port));
        let new: Vec<_> = new.filter(|place| !places.contains(place)).collect();
        places.extend(new);
    }
    places
}

/// An address as CoreDNS's metrics name it.
pub(super) fn label(place: SocketAddr) -> Arc<str> {
    match place.ip().is_unspecified() {
        true => format!("dns://:{}", place.port()).into(),
        false => format!("dns://{place}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::context;
    use super::*;
    use crate::corefile;

    #[test]
    fn every_block_answers_at_its_ports_and_addresses() {
        let corefile = ".:53 {\n kubernetes cluster.local\n forward . 10.0.0.2\n}\n\
                        a.example b.example:54 {\n forward a.example 10.0.0.3\n forward . 10.0.0.4\n cache\n}\n\
                        c.example c.example:54 {\n bind 127.0.0.1 127.0.0.2\n}\n";
        let config = corefile::parse("Corefile".as_ref(), corefile).unwrap();
        let endpoints = endpoints(&config, &context()).unwrap();
        let told: Vec<_> = endpoints
            .iter()
            .map(|(address, endpoint)| {
                let blocks = endpoint.blocks.iter();
                let blocks = blocks.map(|(zone, block)| format!("{zone} {}", block.plugins.len()));
                (
                    address.to_string(),
                    endpoint.any_class,
                    blocks.collect::<Vec<_>>().join(", "),
                )
            })
            .collect();
        let expected = [
            ("[::]:53", true, ". 2, a.example. 3"),
            ("[::]:54", true, "b.example. 3"),
            ("127.0.0.1:53", false, "c.example. 0"),
            ("127.0.0.2:53", false, "c.example. 0"),
            ("127.0.0.1:54", false, "c.example. 0"),
            ("127.0.0.2:54", false, "c.example. 0"),
        ];
        assert_eq!(
            told,
            expected.map(|(address, any, blocks)| (address.to_owned(), any, blocks.to_owned()))
        );
    }

    #[test]
    fn is_named_as_coredns_names_it() {
        for (address, name) in [
            ("[::]:53", "dns://:53"),
            ("0.0.0.0:54", "dns://:54"),
            ("127.0.0.1:53", "dns://127.0.0.1:53"),
            ("[::1]:53", "dns://[::1]:53"),
        ] {
            assert_eq!(&*label(address.parse().unwrap()), name);
        }
    }
}
