//! Writes worlds into the API server, each with a marker behind it that both servers are to show.

use anyhow::Result;
use kxdns_tests::cluster::Cluster;

use crate::api::list;
use crate::apply::{apply, write};
use crate::corefiles::Corefile;
use crate::questions::Snapshot;
use crate::settle::{await_markers, markers};
use crate::stage::Server;
use crate::world::{Kind, MARKERS, World};

/// Keeps what was written.
pub(crate) struct Writer<'a> {
    cluster: &'a Cluster,
    world: World,
    number: u16,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Writer<'a> {
        Writer {
            cluster,
            world: World::default(),
            number: 0,
        }
    }

    /// Makes the cluster this world.
    pub(crate) fn write(&mut self, world: &World) -> Result<()> {
        let (old, number) = (&self.world, self.number);
        self.cluster.run(async |client| {
            apply(&client, old, world).await?;
            write(&client, &markers(number), &markers(number + 1)).await
        })?;
        self.world = world.clone();
        self.number += 1;
        Ok(())
    }

    /// Waits until both servers have taken in the last world.
    pub(crate) fn settle(&self, servers: &mut [Server<'_>; 2], corefile: &Corefile) -> Result<()> {
        servers
            .iter_mut()
            .try_for_each(|server| await_markers(server, corefile, self.number))
    }

    /// Reads what the API server has.
    pub(crate) fn read(&self) -> Result<Snapshot> {
        self.cluster.run(async |client| {
            let mut imports = list(&client, Kind::ServiceImport).await?;
            // All others are there only where the Corefile speaks of them.
            imports.retain(|import| import["metadata"]["namespace"] != MARKERS);
            Ok(Snapshot {
                imports,
                namespaces: list(&client, Kind::Namespace).await?,
                services: list(&client, Kind::Service).await?,
                slices: list(&client, Kind::EndpointSlice).await?,
                pods: list(&client, Kind::Pod).await?,
            })
        })
    }
}
