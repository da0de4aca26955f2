//! Who would answer a question, by what stands in the Corefile alone.

use std::cmp::Reverse;
use std::fmt;

use domain::base::Rtype;

use super::config::{Config, Directive, Key, ServerBlock};
use super::directives::{self, Effect};
use super::forward::{Forward, Upstream};
use super::plan::{ZonePlan, describe, plan};
use super::zones::route;
use crate::name::Name;

/// A question's way through the Corefile; prints some lines.
#[derive(Debug)]
pub struct Explanation<'c> {
    name: &'c Name,
    qtype: Rtype,
    /// Where the question may be taken, port by port.
    places: Vec<Place<'c>>,
    /// What the kernel answers of the zone that it knows the name by.
    kernel: Option<ZonePlan>,
}

/// A server block that takes the question.
#[derive(Debug)]
struct Place<'c> {
    key: &'c Key,
    /// Who has a say, in order, up to the first that answers in any case.
    stations: Vec<Station<'c>>,
}

/// A directive that the question comes by.
#[derive(Debug)]
enum Station<'c> {
    /// It may answer, or change what is asked or answered.
    Perhaps(&'c Directive),
    /// `kubernetes` for this zone, and whether what does not exist falls through.
    Kubernetes(&'c Directive, &'c Name, bool),
    /// `forward` to these.
    Forward(&'c Forward),
}

/// Explains who would answer a question of class IN.
pub fn explain<'c>(config: &'c Config, name: &'c Name, qtype: Rtype) -> Explanation<'c> {
    let plans = plan(config).into_iter().filter(|plan| name.is_within(&plan.zone));
    Explanation {
        name,
        qtype,
        places: find_places(config, name, qtype),
        kernel: plans.max_by_key(|plan| plan.zone.as_wire().len()),
    }
}

/// The blocks that take the question at each port: with `bind` and `view` several may have one zone.
fn find_places<'c>(config: &'c Config, name: &Name, qtype: Rtype) -> Vec<Place<'c>> {
    let servers = config.servers.iter();
    let mut keys: Vec<_> = servers
        .flat_map(|server| server.keys.iter().map(move |key| (server, key)))
        .collect();
    keys.sort_by_key(|(_, key)| (key.port, Reverse(key.zone.as_wire().len())));
    let mut places = Vec::new();
    for keys in keys.chunk_by(|(_, one), (_, other)| one.port == other.port) {
        let zone = route(name, qtype, keys.iter().map(|(_, key)| (&key.zone, ())));
        let taking = keys.iter().filter(|(_, key)| zone == Some((&key.zone, ())));
        places.extend(taking.map(|(server, key)| Place {
            key,
            stations: find_stations(server, name),
        }));
    }
    places
}

fn find_stations<'c>(server: &'c ServerBlock, name: &Name) -> Vec<Station<'c>> {
    let mut directives: Vec<_> = server.directives.iter().collect();
    directives.sort_by_key(|directive| directives::place(directive.name));
    let mut stations = Vec::new();
    for directive in directives {
        let station = match (directive.name, directive.effect) {
            ("kubernetes", _) => {
                let Some(kubernetes) = &server.kubernetes else { continue };
                let zones = kubernetes.zones.iter().filter(|zone| name.is_within(zone));
                let Some(zone) = zones.max_by_key(|zone| zone.as_wire().len()) else {
                    continue;
                };
                Station::Kubernetes(directive, zone, kubernetes.fallthrough.concerns(zone))
            }
            ("forward", _) => {
                let forward = server.forward.iter().find(|forward| forward.span == directive.span);
                let Some(forward) = forward.filter(|forward| forward.takes(name)) else {
                    continue;
                };
                Station::Forward(forward)
            }
            (_, Effect::LeavesAlone) => continue,
            _ => Station::Perhaps(directive),
        };
        stations.push(station);
        if stations.last().is_some_and(Station::answers) {
            break;
        }
    }
    stations
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.name, self.qtype)?;
        for Place { key, stations } in &self.places {
            writeln!(
                f,
                "  at port {}: the server block of {} at {}",
                key.port, key.zone, key.span
            )?;
            for station in stations {
                writeln!(f, "    {station}")?;
            }
            if !stations.last().is_some_and(Station::answers) {
                writeln!(f, "    nobody else: it is refused")?;
            }
        }
        if self.places.is_empty() {
            writeln!(f, "  no server block takes it: it is refused")?;
        }
        match &self.kernel {
            Some(_) if matches!(self.qtype, Rtype::AXFR | Rtype::IXFR) => {
                writeln!(f, "  the kernel passes it on, as all transfers")
            }
            Some(plan) => writeln!(f, "  {plan}"),
            None => writeln!(f, "  the kernel passes it on: it lies in no zone of `kubernetes`"),
        }
    }
}

impl Station<'_> {
    /// Whether it answers in any case.
    fn answers(&self) -> bool {
        matches!(self, Self::Kubernetes(_, _, false) | Self::Forward(_))
    }
}

impl fmt::Display for Station<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Perhaps(Directive { name, effect, span }) => write!(f, "`{name}` at {span} {}", describe(*effect)),
            Self::Kubernetes(directive, zone, falls_through) => {
                write!(f, "`kubernetes` at {} answers from {zone}", directive.span)?;
                f.write_str(if *falls_through { " what exists" } else { "" })
            }
            Self::Forward(Forward { to, span, .. }) => {
                write!(f, "`forward` at {span} asks")?;
                let last = to.len().saturating_sub(1);
                for (index, upstream) in to.iter().enumerate() {
                    f.write_str(match index {
                        0 => " ",
                        index if index == last => " or ",
                        _ => ", ",
                    })?;
                    match upstream {
                        Upstream::Server(server) => write!(f, "{server}")?,
                        Upstream::File(path, _) => write!(f, "the nameservers of {}", path.display())?,
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse_in;
    use super::*;

    const COREFILE: &str = "\
.:53 {
    forward . /etc/resolv.conf 10.0.0.2 {
        except internal
    }
    hosts
    kubernetes cluster.local in-addr.arpa {
        fallthrough in-addr.arpa
    }
    errors
}
corp.example {
    forward . 10.1.0.1 10.1.0.2:5353 10.1.0.3
}
corp.example:54 {
    whoami
}
";

    fn explained(corefile: &str, name: &str, qtype: Rtype) -> String {
        let config = parse_in(Path::new("Corefile"), corefile, &|_| None).unwrap();
        explain(&config, &Name::parse(name).unwrap(), qtype).to_string()
    }

    #[test]
    fn tells_who_has_a_say_in_their_order() {
        for (name, expected) in [
            (
                "web.default.svc.cluster.local",
                "web.default.svc.cluster.local. A
  at port 53: the server block of . at Corefile:1:1
    `hosts` at Corefile:5:5 may answer names of the cluster by itself
    `kubernetes` at Corefile:6:5 answers from cluster.local.
  the kernel answers from cluster.local.: nothing, since `hosts` at Corefile:5:5 may answer names of the cluster by itself
",
            ),
            (
                "1.0.0.10.in-addr.arpa",
                "1.0.0.10.in-addr.arpa. A
  at port 53: the server block of . at Corefile:1:1
    `hosts` at Corefile:5:5 may answer names of the cluster by itself
    `kubernetes` at Corefile:6:5 answers from in-addr.arpa. what exists
    `forward` at Corefile:2:5 asks the nameservers of /etc/resolv.conf or 10.0.0.2:53
  the kernel answers from in-addr.arpa.: nothing, since `hosts` at Corefile:5:5 may answer names of the cluster by itself
",
            ),
            (
                "a.internal",
                "a.internal. A
  at port 53: the server block of . at Corefile:1:1
    `hosts` at Corefile:5:5 may answer names of the cluster by itself
    nobody else: it is refused
  the kernel passes it on: it lies in no zone of `kubernetes`
",
            ),
            (
                "www.corp.example",
                "www.corp.example. A
  at port 53: the server block of corp.example. at Corefile:11:1
    `forward` at Corefile:12:5 asks 10.1.0.1:53, 10.1.0.2:5353 or 10.1.0.3:53
  at port 54: the server block of corp.example. at Corefile:14:1
    `whoami` at Corefile:15:5 may answer what `kubernetes` lets fall through
    nobody else: it is refused
  the kernel passes it on: it lies in no zone of `kubernetes`
",
            ),
        ] {
            assert_eq!(explained(COREFILE, name, Rtype::A), expected);
        }
    }

    #[test]
    fn says_so_where_nobody_takes_a_name() {
        let explained = explained("a.example {\n whoami\n}\n", "b.example", Rtype::AAAA);
        assert!(explained.starts_with("b.example. AAAA\n"), "{explained}");
        assert!(
            explained.contains("no server block takes it: it is refused"),
            "{explained}"
        );
    }

    #[test]
    fn what_is_asked_of_ds_records_goes_to_the_parents_block() {
        let explained = explained(
            &format!("{COREFILE}example {{\n whoami\n}}\n"),
            "corp.example",
            Rtype::DS,
        );
        assert!(
            explained.contains("at port 53: the server block of example. at Corefile:17:1"),
            "{explained}"
        );
    }

    #[test]
    fn transfers_are_not_for_the_kernel() {
        let explained = explained("cluster.local {\n kubernetes\n}\n", "cluster.local", Rtype::AXFR);
        assert!(
            explained.ends_with("the kernel passes it on, as all transfers\n"),
            "{explained}"
        );
    }
}
