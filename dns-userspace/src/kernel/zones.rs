//! Which zones the kernel answers from, and what it may deny there.

use dns_ebpf::maps::{self, Zones};
use dns_ebpf::zone::{self, MAX_ZONE_LEN, denial};

use super::record::{self, Record};
use crate::corefile::{Cache, Fallthrough, Pods, ZonePlan, is_reverse};
use crate::name::Name;
use crate::rules::Options;
use crate::server;
use crate::zone::ZoneTable;

/// A zone that the kernel answers from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelZone {
    /// The zone's name.
    pub name: Name,
    /// Bits of [`denial`].
    pub denial: u32,
}

/// The zones that the kernel answers from, the deepest first.
pub fn choose(plan: &[ZonePlan], names: &Options, fallthrough: &Fallthrough) -> Vec<KernelZone> {
    let mut chosen: Vec<_> = plan
        .iter()
        .filter(|plan| plan.verdict.is_ok() && fits(&plan.zone))
        .collect();
    chosen.sort_by_key(|plan| std::cmp::Reverse(plan.zone.labels().count()));
    chosen.truncate(maps::ZONES);
    // A name of a deeper zone that the kernel does not know of would seem to be the outer one's.
    let hides_another = |zone: &Name| {
        let mut others = plan
            .iter()
            .filter(|plan| !chosen.iter().any(|chosen| chosen.zone == plan.zone));
        others.any(|other| other.zone.is_within(zone))
    };
    let denial = |zone: &Name| match fallthrough.concerns(zone) || hides_another(zone) {
        true => 0,
        false => denial::ALL | exceptions(zone, names),
    };
    let zone = |plan: &&ZonePlan| KernelZone {
        name: plan.zone.clone(),
        denial: denial(&plan.zone),
    };
    chosen.iter().map(zone).collect()
}

fn fits(zone: &Name) -> bool {
    zone.as_wire().len() <= MAX_ZONE_LEN
}

/// Which shapes of names are not written down.
fn exceptions(zone: &Name, names: &Options) -> u32 {
    if is_reverse(zone) {
        return 0;
    }
    let pods = match names.pods {
        Pods::Disabled => 0,
        Pods::Insecure => denial::PODS,
        Pods::Verified => denial::DEEP_PODS,
    };
    let zonal = if names.zonal { denial::ZONAL } else { 0 };
    pods | zonal
}

/// What the kernel is to know of a name; `None` where it has nothing, or is in none of these zones. `cache` is the one that
/// replies go through.
pub fn record(zones: &[KernelZone], cache: Option<&Cache>, table: &ZoneTable, name: &Name) -> Option<Record> {
    let (served, _) = table.locate(name)?;
    let number = zones.iter().position(|zone| zone.name == served.name)?;
    // There are at most eight zones.
    record::lay_out(name, number as u8, |qtype| server::hold(table, cache, name, qtype))
}

/// Lays the zones out as the programs read them, with the serials of this moment.
pub fn lay_out(zones: &[KernelZone], table: &ZoneTable) -> Zones {
    let mut laid_out = Zones::default();
    for (place, zone) in laid_out.0.iter_mut().zip(zones) {
        let served = table.zones().iter().find(|served| served.name == zone.name);
        let known = served.map(|served| table.zone(served));
        *place = known
            .and_then(|known| {
                Some(zone::Zone {
                    serial: known.serial,
                    denial: zone.denial,
                    ..zone::Zone::new(zone.name.as_wire(), known.ttl)?
                })
            })
            .unwrap_or_default();
    }
    laid_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::INSECURE;

    fn plan(zones: &[&str]) -> Vec<ZonePlan> {
        let plan = |zone: &&str| ZonePlan {
            zone: Name::parse(zone).unwrap(),
            ttl: 30,
            verdict: Ok(()),
        };
        zones.iter().map(plan).collect()
    }

    fn denials(zones: &[&str], names: &Options, fallthrough: &Fallthrough) -> Vec<(String, u32)> {
        let chosen = choose(&plan(zones), names, fallthrough).into_iter();
        chosen.map(|zone| (zone.name.to_string(), zone.denial)).collect()
    }

    #[test]
    fn denies_where_nothing_falls_through() {
        let zones = ["cluster.local", "in-addr.arpa", "svc.cluster.local"];
        let parse = |zone: &str| Name::parse(zone).unwrap();
        let all = denial::ALL | denial::PODS;
        for (fallthrough, [deep, forward, reverse]) in [
            (Fallthrough::None, [all, all, denial::ALL]),
            (Fallthrough::All, [0; 3]),
            (Fallthrough::Zones(vec![parse("in-addr.arpa")]), [all, all, 0]),
            (Fallthrough::Zones(vec![parse("10.in-addr.arpa")]), [all, all, 0]),
            (
                Fallthrough::Zones(vec![parse("svc.cluster.local")]),
                [0, 0, denial::ALL],
            ),
            (Fallthrough::Zones(vec![parse("example.org")]), [all, all, denial::ALL]),
        ] {
            let expected = [
                ("svc.cluster.local.".to_owned(), deep),
                ("cluster.local.".to_owned(), forward),
                ("in-addr.arpa.".to_owned(), reverse),
            ];
            assert_eq!(denials(&zones, &INSECURE, &fallthrough), expected, "{fallthrough:?}");
        }
    }

    #[test]
    fn leaves_out_the_shapes_that_are_not_written_down() {
        for (pods, zonal, expected) in [
            (Pods::Disabled, false, denial::ALL),
            (Pods::Verified, false, denial::ALL | denial::DEEP_PODS),
            (Pods::Insecure, true, denial::ALL | denial::PODS | denial::ZONAL),
        ] {
            let names = Options {
                pods,
                zonal,
                ..INSECURE
            };
            let denials = denials(&["cluster.local", "in-addr.arpa"], &names, &Fallthrough::None);
            let denials: Vec<_> = denials.into_iter().map(|(_, denial)| denial).collect();
            assert_eq!(denials, [expected, denial::ALL]);
        }
    }

    #[test]
    fn denies_nothing_around_a_zone_that_it_does_not_know() {
        let long = format!("{}.cluster.local", "x".repeat(60));
        let mut plan = plan(&[&long, "cluster.local", "other.local"]);
        let chosen = choose(&plan, &INSECURE, &Fallthrough::None);
        let expected = [0, denial::ALL | denial::PODS];
        assert_eq!(chosen.iter().map(|zone| zone.denial).collect::<Vec<_>>(), expected);
        plan.remove(0);
        let chosen = choose(&plan, &INSECURE, &Fallthrough::None);
        assert_eq!(chosen[0].denial, denial::ALL | denial::PODS);
    }
}
