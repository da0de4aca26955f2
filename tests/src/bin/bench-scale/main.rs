//! kxdns beside CoreDNS on a large cluster: time and cost of the first sync, memory, and how fast changes get through.
#![forbid(unsafe_code)]

mod fill;
mod population;
mod report;

use crate::population::Population;
use anyhow::Result;
use kxdns_tests::cluster::Cluster;
use kxdns_tests::node::Node;

fn main() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    let population = Population {
        services: 10_000,
        endpoints: 150_000,
    };
    fill::create_namespaces(&cluster)?;
    fill::create_services(&cluster, population, 0..population.services)?;
    eprintln!(
        "holder {} apiserver {:?}",
        node.namespace().pid(),
        cluster.api_server().pid()?
    );
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
