//! The agent's server against replies of a running CoreDNS 1.14.7: 192 questions under eight Corefiles, over UDP and TCP.
//!
//! The recorded replies are not part of the project; where they are not at hand, nothing is compared, and the test says
//! so. `rules.rs` has tests of its own for each rule, and `cargo xtask differential` asks a CoreDNS that runs.

mod support;

use std::collections::BTreeMap;

use anyhow::Result;
use dns_userspace::cluster::Event;
use dns_userspace::cluster::object::{Kind, Object, read};
use support::recorded::{Comparison, Recording, VECTORS};
use support::server::{Server, ask_tcp, ask_udp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_what_coredns_said() -> Result<()> {
    let Some(recording) = Recording::find()? else {
        return Ok(());
    };
    let (events, mut comparison) = (read_events(&recording)?, Comparison::default());
    for (index, (config, vectors)) in recording.vectors()?.iter().enumerate() {
        // Two of them, lest what one transport asks for is in the cache when it comes over the other.
        let corefile = recording.corefile(config)?;
        let udp = Server::start(2 * index, &corefile, &events).await?;
        let tcp = Server::start(2 * index + 1, &corefile, &events).await?;
        for vector in vectors {
            let query = vector.query()?;
            comparison.take(vector, "UDP", &ask_udp(udp.address, &query).await?, false)?;
            comparison.take(vector, "TCP", &ask_tcp(tcp.address, &query).await?, true)?;
        }
    }
    comparison.finish(2 * VECTORS)
}

fn read_events(recording: &Recording) -> Result<Vec<Event>> {
    let mut objects = BTreeMap::<Kind, Vec<Object>>::new();
    for (kind, text) in recording.objects()? {
        objects.entry(kind).or_default().extend(read(kind, &text)?.object);
    }
    let lists = objects.into_iter();
    Ok(lists.flat_map(|(kind, objects)| Event::list(kind, objects)).collect())
}
