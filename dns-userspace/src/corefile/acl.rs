//! The `acl` directive: whose questions are answered, and what becomes of the others.

use std::net::IpAddr;

use domain::base::Rtype;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::{Error, Problem};
use super::lexer::Word;
use super::network::read_network;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::read_zones;
use crate::name::Name;

/// An `acl` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// The zones whose questions it is about; at least one.
    pub zones: Vec<Name>,
    /// The first that takes a question counts.
    pub(super) rules: Vec<Rule>,
}

/// What becomes of certain questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What becomes of them.
    action: Action,
    /// The types of questions that it takes; all if `None`.
    types: Option<Vec<Rtype>>,
    /// Whose questions it takes.
    networks: Networks,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is answered, whatever other rules say.
    Allow,
    /// It is refused.
    Block,
    /// It gets a reply without records.
    Filter,
    /// It gets no reply.
    Drop,
}

/// A set of IP addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Networks(
    /// In order, none within another.
    Vec<IpNet>,
);

impl Acl {
    /// What becomes of questions of this type from this address; `None` where no rule takes them.
    pub fn decide(&self, qtype: Rtype, client: IpAddr) -> Option<Action> {
        let rule = self.rules.iter().find(|rule| rule.takes(qtype, client));
        rule.map(|rule| rule.action)
    }

    /// Whether any question about a name of this zone may not be answered.
    pub(super) fn concerns(&self, zone: &Name) -> bool {
        let overlaps = |own: &Name| own.is_within(zone) || zone.is_within(own);
        self.zones.iter().any(overlaps) && self.rules.iter().any(|rule| rule.action != Action::Allow)
    }
}

impl Rule {
    fn takes(&self, qtype: Rtype, client: IpAddr) -> bool {
        let takes_type = self.types.as_ref().is_none_or(|types| types.contains(&qtype));
        takes_type && self.networks.contains(client)
    }
}

impl Networks {
    /// All addresses.
    fn all() -> Self {
        Self::of(vec![Ipv4Net::default().into(), Ipv6Net::default().into()])
    }

    fn of(networks: Vec<IpNet>) -> Self {
        let mut networks = IpNet::aggregate(&networks);
        networks.sort();
        Self(networks)
    }

    /// Whether an address is one of them. One of IPv4 in the form of IPv6 is one of IPv4.
    fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let behind = self.0.partition_point(|network| network.network() <= address);
        let last = behind.checked_sub(1).and_then(|last| self.0.get(last));
        last.is_some_and(|network| network.contains(&address))
    }
}

/// What a rule may depend on.
const CONDITIONS: [&str; 2] = ["type", "net"];

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::ANY,
    options: &[
        option("allow", Count::ANY).in_force().repeated(),
        option("block", Count::ANY).in_force().repeated(),
        option("drop", Count::ANY).in_force().repeated(),
        option("filter", Count::ANY).in_force().repeated(),
    ],
};

/// Reads `acl [ZONES..] { ACTION [type QTYPE..] [net SOURCE..] }`; without zones it is about those of its server block.
pub(super) fn read(statement: &Statement, block_zones: &[Name], report: &mut Report) -> Acl {
    let zones = match &statement.arguments[..] {
        [] => block_zones.to_vec(),
        zones => report.keep(read_zones(zones)).unwrap_or_default(),
    };
    let rules = statement.options().iter();
    Acl {
        zones,
        rules: rules.filter_map(|option| read_rule(option, report)).collect(),
    }
}

fn read_rule(option: &Statement, report: &mut Report) -> Option<Rule> {
    let action = match option.name.text.as_str() {
        "allow" => Action::Allow,
        "block" => Action::Block,
        "filter" => Action::Filter,
        "drop" => Action::Drop,
        _ => return None,
    };
    let conditions: Vec<_> = conditions(&option.arguments).collect();
    conditions.iter().for_each(|words| check_condition(words, report));
    Some(Rule {
        action,
        types: read_values(&conditions, "type", read_type, report),
        networks: read_values(&conditions, "net", read_network, report).map_or_else(Networks::all, Networks::of),
    })
}

/// The words cut before each `type` and `net`.
fn conditions(words: &[Word]) -> impl Iterator<Item = &[Word]> {
    words.chunk_by(|_, next| !CONDITIONS.iter().any(|name| is_named(next, name)))
}

fn check_condition(words: &[Word], report: &mut Report) {
    let Some((name, values)) = words.split_first() else {
        return;
    };
    if !CONDITIONS.iter().any(|known| is_named(name, known)) {
        report.add(&name.span, Problem::unknown("condition", &name.text, CONDITIONS));
    } else if values.is_empty() {
        let expected = format!("what `{}` is to be", name.text);
        let found = "nothing".to_owned();
        report.add(&name.span, Problem::Expected { expected, found });
    }
}

/// The values of all conditions of a name; `None` where there is none, or one that a `*` lets hold always.
fn read_values<T>(
    conditions: &[&[Word]],
    name: &str,
    read: fn(&Word) -> Result<T, Error>,
    report: &mut Report,
) -> Option<Vec<T>> {
    let named = conditions.iter().filter_map(|words| words.split_first());
    let named: Vec<_> = named.filter(|(word, _)| is_named(word, name)).collect();
    let (stars, values): (Vec<_>, Vec<_>) = named
        .iter()
        .flat_map(|(_, values)| *values)
        .partition(|word| word.text == "*");
    let values = values.into_iter().filter_map(|word| report.keep(read(word))).collect();
    (!named.is_empty() && stars.is_empty()).then_some(values)
}

fn is_named(word: &Word, name: &str) -> bool {
    word.text.eq_ignore_ascii_case(name)
}

fn read_type(word: &Word) -> Result<Rtype, Error> {
    let known = word.text.parse().ok();
    known.ok_or_else(|| word.unexpected("a type of records such as `AAAA` or `TYPE65`, or `*`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::{Config, parse, plan};

    fn read(directives: &str) -> Result<Config, String> {
        let text = format!("example.org:53 test:53 {{\n{directives}\n}}");
        parse("Corefile".as_ref(), &text).map_err(|errors| errors.to_string())
    }

    fn decide(options: &str, qtype: Rtype, client: &str) -> Option<Action> {
        let config = read(&format!("acl {{\n{options}\n}}")).unwrap();
        config.servers[0].acl[0].decide(qtype, client.parse().unwrap())
    }

    #[test]
    fn a_directive_is_about_its_zones_or_those_of_its_block() {
        let config = read("acl a.example.org 10.0.0.0/8\nacl {\nblock\n}").unwrap();
        let zones = config.servers[0]
            .acl
            .iter()
            .map(|acl| acl.zones.iter().map(Name::to_string));
        let zones: Vec<Vec<_>> = zones.map(Iterator::collect).collect();
        assert_eq!(
            zones,
            [["a.example.org.", "10.in-addr.arpa."], ["example.org.", "test."]]
        );
        config.check_support().unwrap();
    }

    #[test]
    fn conditions_may_stand_in_any_order_and_number() {
        use Action::{Allow, Block, Drop, Filter};
        for (options, qtype, client, expected) in [
            ("block", Rtype::A, "10.0.0.1", Some(Block)),
            ("filter type A aaaa TYPE65", Rtype::AAAA, "10.0.0.1", Some(Filter)),
            ("filter type A aaaa TYPE65", Rtype::HTTPS, "10.0.0.1", Some(Filter)),
            ("filter type A aaaa TYPE65", Rtype::MX, "10.0.0.1", None),
            ("drop net 10.0.0.0/8 type A", Rtype::A, "10.9.9.9", Some(Drop)),
            ("drop net 10.0.0.0/8 type A", Rtype::A, "11.0.0.0", None),
            ("drop NET 10.0.0.0/8 TYPE A net ::1", Rtype::A, "::1", Some(Drop)),
            ("allow type A * net *", Rtype::MX, "fd00::1", Some(Allow)),
            ("allow net 10.0.0.1 * 10.0.0.2", Rtype::MX, "10.0.0.3", Some(Allow)),
            ("allow type ANY", Rtype::ANY, "10.0.0.3", Some(Allow)),
        ] {
            assert_eq!(decide(options, qtype, client), expected, "{options} {qtype} {client}");
        }
    }

    #[test]
    fn an_address_is_found_among_many_networks() {
        let networks = "192.168.0.0/16 10.1.2.3 10.0.0.0/8 10.0.0.0/16 fd00::/8 1.2.3.4/30 0.0.0.0/32";
        let option = format!("block net {networks}");
        for (client, is_in) in [
            ("10.255.255.255", true),
            ("10.1.2.3", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.168.3.4", true),
            ("192.167.255.255", false),
            ("255.255.255.255", false),
            ("1.2.3.7", true),
            ("1.2.3.8", false),
            ("0.0.0.0", true),
            ("0.0.0.1", false),
            ("fd12:3456::", true),
            ("fc00::", false),
            ("fe00::", false),
            ("::ffff:10.1.1.1", true),
        ] {
            assert_eq!(decide(&option, Rtype::A, client).is_some(), is_in, "{client}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let network = "expected a network such as `10.0.0.0/8` or `fd00::/8`, or an IP address, found";
        let qtype = "expected a type of records such as `AAAA` or `TYPE65`, or `*`, found";
        for (option, expected) in [
            ("deny", "3:1: unknown option `deny`".to_owned()),
            ("alow", "3:1: unknown option `alow`; did you mean `allow`?".to_owned()),
            (
                "block typ A",
                "3:7: unknown condition `typ`; did you mean `type`?".to_owned(),
            ),
            (
                "block typ",
                "3:7: unknown condition `typ`; did you mean `type`?".to_owned(),
            ),
            (
                "block type",
                "3:7: expected what `type` is to be, found nothing".to_owned(),
            ),
            (
                "block type net ::1",
                "3:7: expected what `type` is to be, found nothing".to_owned(),
            ),
            (
                "block net",
                "3:7: expected what `net` is to be, found nothing".to_owned(),
            ),
            ("block type AAAAA", format!("3:12: {qtype} `AAAAA`")),
            ("block type * None", format!("3:14: {qtype} `None`")),
            ("block net 10.0.0.0/33", format!("3:11: {network} `10.0.0.0/33`")),
            ("block net 10.0.0", format!("3:11: {network} `10.0.0`")),
            ("block net ::1/129", format!("3:11: {network} `::1/129`")),
            (
                "block net ::ffff:10.0.0.1",
                format!("3:11: {network} `::ffff:10.0.0.1`"),
            ),
            ("block net * fe80::1%eth0", format!("3:13: {network} `fe80::1%eth0`")),
            (
                "block {\n type A\n}",
                "3:1: `block` takes no options in braces".to_owned(),
            ),
        ] {
            let error = read(&format!("acl {{\n{option}\n}}")).unwrap_err();
            assert_eq!(error, format!("Corefile:{expected}"), "{option}");
        }
        let zone = "Corefile:2:5: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `a..b`";
        assert_eq!(read("acl a..b").unwrap_err(), zone);
    }

    /// The types that CoreDNS knows by name, but for NSAP-PTR.
    #[test]
    fn knows_types_by_their_names() {
        let names = "A AAAA AFSDB AMTRELAY ANY APL AVC AXFR CAA CDNSKEY CDS CERT CNAME CSYNC DHCID DLV DNAME DNSKEY DS EID \
                     EUI48 EUI64 GID GPOS HINFO HIP HTTPS IPSECKEY ISDN IXFR KEY KX L32 L64 LOC LP MAILA MAILB MB MD MF MG \
                     MINFO MR MX NAPTR NID NIMLOC NINFO NS NSEC NSEC3 NSEC3PARAM NULL NXT OPENPGPKEY OPT PTR PX RKEY RP \
                     RRSIG RT SIG SMIMEA SOA SPF SRV SSHFP SVCB TA TALINK TKEY TLSA TSIG TXT UID UINFO UNSPEC URI X25 ZONEMD \
                     ATMA NXNAME RESINFO";
        let unknown: Vec<_> = names
            .split_whitespace()
            .filter(|name| name.parse::<Rtype>().is_err())
            .collect();
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn only_what_may_refuse_names_of_the_cluster_keeps_the_kernel_from_answering() {
        for (acl, is_left_alone) in [
            ("acl {\nblock net 10.0.0.0/8\n}", false),
            ("acl svc.cluster.local {\nfilter\n}", false),
            ("acl local {\ndrop\n}", false),
            ("acl example.org {\nblock\n}", true),
            ("acl {\nallow net 10.0.0.0/8\n}", true),
            ("acl example.org {\nblock\n}\nacl cluster.local {\nblock\n}", false),
        ] {
            let text = format!(".:53 {{\nkubernetes cluster.local\n{acl}\n}}");
            let config = parse("Corefile".as_ref(), &text).unwrap();
            assert_eq!(!plan(&config)[0].is_passed(), is_left_alone, "{acl}");
        }
    }
}
