//! Names for hostile questions, in wire form: those that exist, those that do not, and those that are none.

use super::random::Random;
use crate::frames::wire_name;

/// Where a message's question begins.
pub const QUESTION_AT: usize = 12;

const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;

/// Names that the cluster's objects, the zones or the upstream know something about.
const KNOWN: [&str; 34] = [
    "web.default.svc.cluster.local",
    "web.default.svc.cluster.local",
    "web.default.svc.cluster.local",
    "WEB.Default.SVC.cluster.LOCAL",
    "_port._tcp.web.default.svc.cluster.local",
    "headless.default.svc.cluster.local",
    "10-244-9-1.headless.default.svc.cluster.local",
    "_port._tcp.headless.default.svc.cluster.local",
    "alias.default.svc.cluster.local",
    "inner-alias.default.svc.cluster.local",
    "absent.default.svc.cluster.local",
    "web.absent.svc.cluster.local",
    "default.svc.cluster.local",
    "svc.cluster.local",
    "cluster.local",
    "CLUSTER.local",
    "local",
    "dns-version.cluster.local",
    "ns.dns.cluster.local",
    "10-1-2-3.default.pod.cluster.local",
    "10-1-2-3.absent.pod.cluster.local",
    "1.9.244.10.in-addr.arpa",
    "3.2.1.10.in-addr.arpa",
    "10.in-addr.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "example.com",
    "WWW.Example.com",
    "a.very.long.name.of.many.labels.that.nobody.has.example.org",
    "xcluster.local",
    "cluster.local.example",
    "version.bind",
    "",
];

/// A name that can be asked for.
pub fn known(random: &mut Random) -> Vec<u8> {
    wire_name(random.pick(KNOWN))
}

/// What stands where the question's name belongs, whether it is one or not.
pub fn hostile(random: &mut Random) -> Vec<u8> {
    match random.below(9) {
        0 => pointer(random),
        1 => behind_pointer(random),
        2 => labels_of(random),
        3 => name_of(random),
        4 => binary(random),
        5 => dotted(random),
        6 => reserved(random),
        7 => endless(random),
        _ => known(random),
    }
}

/// A pointer to anywhere near.
fn pointer(random: &mut Random) -> Vec<u8> {
    let nowhere = random.below(0x4000);
    let target = random.pick([
        0,
        1,
        2,
        4,
        11,
        QUESTION_AT,
        QUESTION_AT + 1,
        QUESTION_AT + 2,
        QUESTION_AT + 6,
        0x3fff,
        nowhere,
    ]);
    vec![0xc0 | (target >> 8) as u8, target as u8]
}

/// Labels, then a pointer: to the header, into itself or forward.
fn behind_pointer(random: &mut Random) -> Vec<u8> {
    let labels = random.pick(["a", "web", "web.default", "web.default.svc.cluster.local"]);
    let mut name = wire_name(labels);
    name.pop();
    name.extend(pointer(random));
    name
}

/// A label of about the longest length that there is, alone or in the cluster's zone.
fn labels_of(random: &mut Random) -> Vec<u8> {
    let length = random.pick([1, LONGEST_LABEL - 1, LONGEST_LABEL, LONGEST_LABEL + 1, 0x7f, 0x80]);
    let mut name = vec![length as u8];
    name.extend(vec![b'x'; length]);
    name.extend(wire_name(random.pick([
        "",
        "cluster.local",
        "default.svc.cluster.local",
        "test",
    ])));
    name
}

/// A name of about the longest length that there is.
fn name_of(random: &mut Random) -> Vec<u8> {
    let end = wire_name(random.pick(["", "cluster.local", "default.svc.cluster.local", "test"]));
    let length = random.pick([LONGEST_NAME - 1, LONGEST_NAME, LONGEST_NAME + 1, 300]);
    let mut name = Vec::new();
    while name.len() + end.len() < length {
        let label = (length - end.len() - name.len() - 1).clamp(1, LONGEST_LABEL);
        name.push(label as u8);
        name.extend(vec![b'y'; label]);
    }
    name.extend(end);
    name
}

/// Labels of any bytes.
fn binary(random: &mut Random) -> Vec<u8> {
    let mut name = Vec::new();
    for _ in 0..=random.below(4) {
        let length = random.below(20) + 1;
        name.push(length as u8);
        name.extend(random.bytes(length));
    }
    name.extend(wire_name(random.pick([
        "",
        "cluster.local",
        "svc.cluster.local",
        "test",
    ])));
    name
}

/// Labels with bytes in them that text escapes or takes for something else: dots, backslashes, spaces, quotes, zeros.
fn dotted(random: &mut Random) -> Vec<u8> {
    let label: &[u8] = random.pick([
        &b"web.default"[..],
        b"web.default.svc",
        b".",
        b"..",
        b"a.",
        b"\\",
        b"\\.",
        b"a b",
        b"\"",
        b"\0",
        b"*",
        b"_",
        b"__",
        b"-",
        b"@",
        b"a\xff",
        b"(",
        b";",
        b"\\046",
        b"10.1.2.3",
    ]);
    let mut name = vec![label.len() as u8];
    name.extend(label);
    let zones = [
        "svc.cluster.local",
        "default.svc.cluster.local",
        "cluster.local",
        "test",
        "in-addr.arpa",
    ];
    name.extend(wire_name(random.pick(zones)));
    name
}

/// A label of a type that was never used (RFC 1035, 4.1.4: 01 and 10).
fn reserved(random: &mut Random) -> Vec<u8> {
    let kind = random.pick([0x40, 0x41, 0x7f, 0x80, 0xbf]);
    [&[kind][..], b"ab", &wire_name("cluster.local")].concat()
}

/// More labels than fit, or a name that never ends.
fn endless(random: &mut Random) -> Vec<u8> {
    let count = random.pick([100, 126, 127, 128, 200]);
    let mut name = b"\x01a".repeat(count);
    if random.once_in(2) {
        name.push(0);
    }
    name
}
