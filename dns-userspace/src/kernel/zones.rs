//! Which zones the kernel answers from, and what it may deny there.

use std::cmp::Reverse;

use dns_ebpf::maps::Zones;
use dns_ebpf::zone::{self, denial};

use super::record::{self, Record};
use crate::corefile::{Pods, Reason, Verdict, ZonePlan, is_reverse};
use crate::name::Name;
use crate::rules::Options;
use crate::server::{self, Passage};
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
pub fn choose(plan: &[ZonePlan], names: &Options) -> Vec<KernelZone> {
    let zone = |plan: &ZonePlan| {
        let denial = match &plan.verdict {
            Verdict::Everything => denial::ALL | exceptions(&plan.zone, names),
            Verdict::ExistingOnly(Reason::Around(_)) => 0,
            Verdict::ExistingOnly(_) => exceptions(&plan.zone, names),
            Verdict::Nothing(_) => return None,
        };
        Some(KernelZone {
            name: plan.zone.clone(),
            denial,
        })
    };
    let mut chosen: Vec<_> = plan.iter().filter_map(zone).collect();
    chosen.sort_by_key(|zone| Reverse(zone.name.labels().count()));
    chosen
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

/// What the kernel is to know of a name; `None` where it has nothing, or is in none of these zones.
pub fn record(zones: &[KernelZone], passage: &Passage, table: &ZoneTable, name: &Name) -> Option<Record> {
    let found = table.find(name)?;
    let number = zones.iter().position(|zone| zone.name == found.zone().name)?;
    // There are at most eight zones.
    record::lay_out(name, number as u8, |qtype| server::hold(passage, &found, qtype))
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

    fn plan(zone: &str, verdict: Verdict) -> ZonePlan {
        ZonePlan {
            zone: Name::parse(zone).unwrap(),
            verdict,
        }
    }

    #[test]
    fn knows_the_deepest_zone_first_and_denies_what_the_plan_lets_it() {
        let hidden = Name::parse("pod.other.local").unwrap();
        let plans = [
            plan("cluster.local", Verdict::Everything),
            plan("other.local", Verdict::ExistingOnly(Reason::Around(hidden))),
            plan("pod.other.local", Verdict::Nothing(Reason::LongName(80))),
            plan("in-addr.arpa", Verdict::ExistingOnly(Reason::Fallthrough)),
            plan("svc.cluster.local", Verdict::ExistingOnly(Reason::Fallthrough)),
        ];
        let chosen = choose(&plans, &INSECURE).into_iter();
        let chosen: Vec<_> = chosen.map(|zone| (zone.name.to_string(), zone.denial)).collect();
        let expected = [
            ("svc.cluster.local.", denial::PODS),
            ("cluster.local.", denial::ALL | denial::PODS),
            ("other.local.", 0),
            ("in-addr.arpa.", 0),
        ];
        assert_eq!(chosen, expected.map(|(name, denial)| (name.to_owned(), denial)));
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
            let plans = ["cluster.local", "in-addr.arpa"].map(|zone| plan(zone, Verdict::Everything));
            let denials: Vec<_> = choose(&plans, &names).iter().map(|zone| zone.denial).collect();
            assert_eq!(denials, [expected, denial::ALL]);
        }
    }
}
