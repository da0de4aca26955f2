//! Knowing that both servers have taken in all that was written: by markers, one of each kind, written last.
//!
//! A server watches each kind in order, so one that shows a kind's marker has seen everything of the kind before it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Result;
use domain::base::Rtype;
use domain::base::iana::OptRcode;
use serde_json::json;

use crate::corefiles::Corefile;
use crate::generate::pods::FINALIZER;
use crate::generate::slices::{IMPORT_NAME, SERVICE_NAME, SOURCE_CLUSTER};
use crate::stage::Server;
use crate::world::{Key, Kind, MARKERS, World};
use kxdns_tests::meaning::{Meaning, Reply};
use kxdns_tests::question::Question;

const LIMIT: Duration = Duration::from_secs(20);

/// The markers with this number. Those of number 0 are none.
pub(crate) fn markers(number: u16) -> World {
    let mut world = World::default();
    if number == 0 {
        return world;
    }
    world.put(Key::namespace(MARKERS), json!({}));
    world.put(Key::namespace(&flag(number)), json!({}));
    let name = json!({"spec": {"type": "ExternalName", "externalName": target(number)}});
    world.put(Key::new(Kind::Service, MARKERS, "name"), name);
    let headless =
        json!({"spec": {"clusterIP": "None", "ports": [], "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}});
    world.put(Key::new(Kind::Service, MARKERS, "slices"), headless);
    let slice = json!({
        "metadata": {"labels": {SERVICE_NAME: "slices", IMPORT_NAME: "import", SOURCE_CLUSTER: "here"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address(number)]}],
        "ports": [],
    });
    world.put(Key::new(Kind::EndpointSlice, MARKERS, "marker"), slice);
    let reached = json!({"spec": {"type": "ClusterSetIP", "ips": [address(number)], "ports": [{"port": 1}]}});
    world.put(Key::new(Kind::ServiceImport, MARKERS, "import"), reached);
    let pod = json!({
        "metadata": {"labels": {}, "annotations": {}, "finalizers": [FINALIZER]},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
        "status": {"phase": "Running", "podIP": address(number), "podIPs": [{"ip": address(number)}]},
    });
    world.put(Key::new(Kind::Pod, MARKERS, "marker"), pod);
    world
}

/// Whether a name, in lower case, may have been asked while one waited for the markers.
pub(crate) fn is_marker(name: &str) -> bool {
    [MARKERS, "flag-0", "flag-1"].iter().any(|namespace| {
        let mut labels = name.split('.');
        labels.any(|label| label == *namespace)
    })
}

/// Each number's Namespace comes as the former one's goes.
fn flag(number: u16) -> String {
    format!("flag-{}", number % 2)
}

fn target(number: u16) -> String {
    format!("batch-{number}.example.com")
}

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 255, high, low)
}

/// Asks a server until it shows every marker of this number.
pub(crate) fn await_markers(server: &mut Server<'_>, corefile: &Corefile, number: u16) -> Result<()> {
    let zone = "cluster.local";
    let alias = Question::plain(&format!("name.{MARKERS}.svc.{zone}"), Rtype::CNAME);
    server.await_reply(&alias, LIMIT, |reply| answers(reply, &target(number)))?;
    let is = |exists: bool| move |reply: &Reply| *reply != Reply::Silence && exists == is_own(reply);
    for (number, exists) in [(number, true), (number + 1, false)] {
        let namespace = Question::plain(&format!("{}.svc.{zone}", flag(number)), Rtype::A);
        server.await_reply(&namespace, LIMIT, is(exists))?;
    }
    let mut names = Vec::new();
    if !corefile.has("noendpoints") {
        names.push(format!("slices.{MARKERS}.svc.{zone}"));
    }
    if corefile.imports() {
        let import = format!("import.{MARKERS}.svc.clusterset.local");
        names.push(format!(
            "{}.here.{import}",
            address(number).to_string().replace('.', "-")
        ));
        names.push(import);
    }
    for name in names {
        server.await_reply(&Question::plain(&name, Rtype::A), LIMIT, |reply| {
            answers(reply, &IpAddr::V4(address(number)).to_string())
        })?;
    }
    if corefile.has("pods verified") {
        let dashed = address(number).to_string().replace('.', "-");
        let pod = Question::plain(&format!("{dashed}.{MARKERS}.pod.{zone}"), Rtype::A);
        server.await_reply(&pod, LIMIT, is(true))?;
    }
    Ok(())
}

fn answers(reply: &Reply, data: &str) -> bool {
    let meaning = reply.meaning();
    meaning.is_some_and(|meaning| {
        meaning
            .answer()
            .iter()
            .any(|fact| fact.data.trim_end_matches('.') == data)
    })
}

/// Whether a name exists in the zone. One that does not may be answered by the upstream: it fell through.
fn is_own(reply: &Reply) -> bool {
    let own = |meaning: &Meaning| meaning.rcode == OptRcode::NOERROR && meaning.flags.contains("AA");
    reply.meaning().is_some_and(own)
}
