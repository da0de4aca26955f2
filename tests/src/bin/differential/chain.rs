//! The Corefiles of the plugin chain: one for each plugin, some for two that meet, and what kubeadm makes of a cluster with
//! stub domains.

use crate::corefiles::{Corefile, LIMITED, PLAIN};

/// Where names of any kind are.
const ANYWHERE: &[&str] = &["example.com", "example.com", "example.net", "abc.com"];

pub(crate) const CHAIN: &[Corefile] = &[
    // What becomes of the stub domains of kube-dns, a domain below the cluster's, and the zones of two networks.
    Corefile {
        name: "stub",
        plugins: &["cache 30", "loop", "reload", "loadbalance"],
        blocks: &[
            "abc.com:53 {",
            "    errors",
            "    cache 30",
            "    loop",
            "    forward . SECOND",
            "}",
            "apple.svc.cluster.local:53 {",
            "    errors",
            "    forward . SECOND",
            "}",
            "10.9.0.0/17 fd00:dead::/32 {",
            "    errors",
            "    cache 30",
            "    forward . SECOND",
            "}",
            "deep.abc.com:53 sub.example.net:53 {",
            "    errors",
            "    loadbalance",
            "    forward . FIRST",
            "}",
        ],
        names: &[
            "abc.com",
            "deep.abc.com",
            "www.deep.abc.com",
            "notabc.com",
            "web.apple.svc.cluster.local",
            "apple.svc.cluster.local",
            "www.sub.example.net",
            "1.9.9.10.in-addr.arpa",
            "1.127.9.10.in-addr.arpa",
            "1.128.9.10.in-addr.arpa",
            "127.9.10.in-addr.arpa",
            "9.10.in-addr.arpa",
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.a.e.d.0.0.d.f.ip6.arpa",
            "d.a.e.d.0.0.d.f.ip6.arpa",
        ],
        domains: &["abc.com", "deep.abc.com", "apple.svc.cluster.local", "example.com"],
        ..PLAIN
    },
    // `cache`.
    Corefile {
        name: "cache",
        plugins: &["cache 30"],
        names: &["silent.example.com", "garbage.example.com"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-bare",
        plugins: &["cache"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-limits",
        plugins: &["cache 60 {", "    success 1024 20 8", "    denial 1024 10 2", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-keepttl",
        plugins: &["cache 30 {", "    keepttl", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-servfail-0",
        plugins: &["cache 30 {", "    servfail 0", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-servfail-10",
        plugins: &["cache 30 {", "    servfail 10s", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-disable",
        plugins: &[
            "cache 30 {",
            "    disable success example.com",
            "    disable denial example.net",
            "}",
        ],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-zones",
        plugins: &["cache 30 example.com cluster.local"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "cache-stale",
        plugins: &["cache 30 {", "    serve_stale", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    // `forward`.
    Corefile {
        name: "forward",
        names: &["silent.example.com", "garbage.example.com", "www.example", "."],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-except",
        forward: &["forward . FIRST {", "    except example.net deep.abc.com", "}"],
        names: &["example.net", "notexample.net", "www.deep.abc.com", "deep.abc.com"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-zone",
        forward: &["forward example.com FIRST"],
        names: &["example.com", "notexample.com"],
        domains: ANYWHERE,
        ..PLAIN
    },
    // The longest zone does not win here: the first line does.
    Corefile {
        name: "forward-two",
        forward: &["forward com FIRST", "forward example.com SECOND", "forward . SECOND"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-sequential",
        forward: &["forward . FIRST SECOND {", "    policy sequential", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-closed",
        forward: &[
            "forward . CLOSED SECOND {",
            "    policy sequential",
            "    max_fails 0",
            "}",
        ],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-tcp",
        forward: &["forward . FIRST {", "    force_tcp", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-udp",
        forward: &["forward . FIRST {", "    prefer_udp", "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-next",
        forward: &[
            "forward . FIRST {",
            "    next NXDOMAIN SERVFAIL",
            "}",
            "forward . SECOND",
        ],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-nodata",
        forward: &["forward . FIRST {", "    next_on_nodata", "}", "forward . SECOND"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-failover",
        forward: &[
            "forward . FIRST SECOND {",
            "    policy sequential",
            "    failover SERVFAIL REFUSED",
            "}",
        ],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "forward-limit",
        forward: &["forward . FIRST {", LIMITED, "}"],
        domains: ANYWHERE,
        ..PLAIN
    },
    // `rewrite`.
    Corefile {
        name: "rewrite-name",
        plugins: &[
            "rewrite name exact old.example.com many.example.com",
            "rewrite name short.test www.example.com",
            "rewrite name exact shop.test web.apple.svc.cluster.local",
            "rewrite name prefix pre- alias-",
            "rewrite name suffix .plain.test .example.com",
            "rewrite name suffix .auto.test .example.com answer auto",
            "rewrite name suffix .shop.test .svc.cluster.local answer auto",
            "rewrite name substring middle example",
            r"rewrite name regex (.*)\.re\.test {1}.example.com",
            r"rewrite name regex (.*)\.(.*)\.both\.test {2}.{1}.example.com answer name (.*)\.(.*)\.example\.com {2}.{1}.both.test",
            r"rewrite stop name regex ^(.*)\.value\.test\.$ {1}.example.com answer auto answer value (.*)\.example\.com\. {1}.value.test.",
            "loadbalance",
        ],
        names: &[
            "old.example.com",
            "short.test",
            "x.short.test",
            "shop.test",
            "pre-many.example.com",
            "middle.com",
            "www.middle.middle.com",
            "web.apple.shop.test",
            "_http._tcp.web.apple.shop.test",
            "db.berry.shop.test",
            "a.many.both.test",
            "plain.test",
        ],
        domains: &["plain.test", "auto.test", "re.test", "value.test", "x.both.test"],
        ..PLAIN
    },
    Corefile {
        name: "rewrite-continue",
        plugins: &[
            "rewrite continue {",
            "    name suffix .one.test .two.test answer auto",
            "}",
            "rewrite continue name suffix .two.test .three.test answer auto",
            "rewrite name suffix .three.test .example.com answer auto",
            "rewrite name suffix .example.com .example.net",
            "loadbalance",
        ],
        domains: &["one.test", "two.test", "three.test", "example.com"],
        ..PLAIN
    },
    Corefile {
        name: "rewrite-type",
        plugins: &[
            "rewrite continue type MX TXT",
            "rewrite type ANY HINFO",
            "rewrite class CH IN",
            "rewrite type AAAA A",
            "loadbalance",
        ],
        names: &["version.bind"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "rewrite-ttl",
        plugins: &[
            "rewrite ttl exact www.example.com 5",
            "rewrite ttl suffix .example.com 30-60",
            "rewrite ttl substring abc -10",
            "rewrite ttl prefix seven 60-",
            r"rewrite ttl regex (.*)\.apple\.svc\.cluster\.local 77",
            "loadbalance",
        ],
        names: &["www.example.com"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "rewrite-cname",
        plugins: &[
            "rewrite cname exact www.example.com. many.example.net.",
            r"rewrite cname regex (.*)\.example\.org\. {1}.example.net.",
            "loadbalance",
        ],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "rewrite-rcode",
        plugins: &[
            "rewrite rcode suffix .example.com NXDOMAIN NOERROR",
            "rewrite rcode suffix .example.net SERVFAIL NXDOMAIN",
            r"rewrite rcode regex .*\.abc\.com\. 5 2",
            "loadbalance",
        ],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "rewrite-edns",
        plugins: &[
            "rewrite continue edns0 local set 0xffee 0x61626364",
            "rewrite continue edns0 local append 0xffef abcd revert",
            "rewrite continue edns0 local set 0xfff0 {qname}",
            "rewrite continue edns0 nsid set",
            "rewrite edns0 subnet set 24 56",
            "loadbalance",
        ],
        names: &["echo.example.com", "echo.example.net"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "rewrite-cache",
        plugins: &[
            "rewrite name suffix .auto.test .example.com answer auto",
            "rewrite ttl suffix .example.net 60",
            "cache 30",
            "loadbalance",
        ],
        domains: &["auto.test", "example.com", "example.net"],
        ..PLAIN
    },
    // `template`.
    Corefile {
        name: "template",
        plugins: &[
            "template ANY ANY invalid blocked.example.com {",
            "    rcode NXDOMAIN",
            "    authority \"{{ .Zone }} 60 {{ .Class }} SOA ns.{{ .Zone }} hostmaster.{{ .Zone }} (1 60 60 60 60)\"",
            "    ederror 21 \"Not here\"",
            "}",
            "template IN A dyn.test {",
            "    match ^ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)[.]dyn[.]test[.]$",
            "    match (.*)[.]wild[.]dyn[.]test[.]$",
            "    answer \"{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ .Group.b }}\"",
            "    additional \"extra.dyn.test. 5 IN AAAA fd00::1\"",
            "    fallthrough",
            "}",
            "template IN TXT dyn.test {",
            "    answer \"{{ .Name }} 7 {{ .Class }} {{ .Type }} \\\"{{ .Zone }} {{ index .Match 0 }} {{ .Question.Name }}\\\"\"",
            "}",
            "template IN AAAA dyn.test example.net {",
            "}",
            "template IN A hex.test {",
            "    match ^x(?P<d>[a-f0-9]{2})[.]hex[.]test[.]$",
            "    answer \"{{ .Name }} 60 IN A 10.0.0.{{ parseInt .Group.d 16 8 }}\"",
            "}",
            "template IN ANY alias.test {",
            "    match ^(.*)[.]alias[.]test[.]$",
            "    answer \"{{ .Name }} 60 IN CNAME {{ index .Match 1 }}.example.com.\"",
            "    fallthrough",
            "}",
            "template IN ANY refuse.test {",
            "    rcode REFUSED",
            "}",
            "loadbalance",
        ],
        names: &[
            "invalid",
            "www.invalid",
            "www.blocked.example.com",
            "dyn.test",
            "ip-1-2.dyn.test",
            "ip-1-2.dyn.test",
            "ip-300-2.dyn.test",
            "x.ip-1-2.dyn.test",
            "a.wild.dyn.test",
            "many.dyn.test",
            "x0a.hex.test",
            "xff.hex.test",
            "xgg.hex.test",
            "hex.test",
            "alias.test",
            "refuse.test",
        ],
        domains: &["dyn.test", "alias.test", "example.net", "example.com"],
        ..PLAIN
    },
    Corefile {
        name: "template-cache",
        plugins: &[
            "template IN A dyn.test {",
            "    match ^ip-(?P<a>[0-9]*)[.]dyn[.]test[.]$",
            "    answer \"{{ .Name }} 60 IN A 10.0.0.{{ .Group.a }}\"",
            "    fallthrough",
            "}",
            "template IN ANY alias.test {",
            "    answer \"{{ .Name }} 60 IN CNAME many.example.com.\"",
            "}",
            "cache 30",
        ],
        names: &["ip-1.dyn.test", "ip-2.dyn.test", "x.dyn.test", "a.alias.test"],
        domains: &["dyn.test", "example.com"],
        ..PLAIN
    },
    // `hosts`.
    Corefile {
        name: "hosts",
        plugins: &[
            "hosts {",
            "    10.1.1.1 host.test Other.Test",
            "    10.1.1.2 host.test",
            "    fd00:1::1 host.test",
            "    fd00:1::2 six.test",
            "    10.1.1.3 web.apple.svc.cluster.local",
            "    10.1.1.4 over.example.com # four",
            "    10.1.1.300 wrong.test",
            "    fallthrough",
            "}",
            "loadbalance",
        ],
        names: HOST_NAMES,
        domains: &["example.com"],
        ..PLAIN
    },
    Corefile {
        name: "hosts-inline",
        plugins: &[
            "hosts FILES/hosts test example.com 1.1.10.in-addr.arpa {",
            "    10.1.1.1 inline.test",
            "    ttl 60",
            "    no_reverse",
            "}",
            "cache 30",
        ],
        names: HOST_NAMES,
        domains: &["example.com", "test"],
        ..PLAIN
    },
    Corefile {
        name: "hosts-file",
        plugins: &[
            "hosts FILES/hosts test example.com 10.in-addr.arpa {",
            "    ttl 7",
            "    fallthrough example.com",
            "}",
            "loadbalance",
        ],
        names: HOST_NAMES,
        domains: &["example.com", "test"],
        ..PLAIN
    },
    // `autopath`.
    Corefile {
        name: "autopath",
        options: &["pods verified", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
        plugins: &["autopath @kubernetes", "loadbalance"],
        names: SEARCHED,
        domains: &["example.com.apple.svc.cluster.local", "example.com"],
        ..PLAIN
    },
    Corefile {
        name: "autopath-cache",
        options: &["pods verified", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
        plugins: &["autopath @kubernetes", "cache 30", "loadbalance"],
        names: SEARCHED,
        domains: &["example.com.apple.svc.cluster.local", "example.com"],
        ..PLAIN
    },
    // `dns64`.
    Corefile {
        name: "dns64",
        plugins: &["dns64", "loadbalance"],
        names: SIXTY_FOUR,
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "dns64-prefix",
        plugins: &[
            "dns64 {",
            "    prefix 64:1337::/96",
            "    allow_ipv4",
            "}",
            "loadbalance",
        ],
        names: SIXTY_FOUR,
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "dns64-all",
        plugins: &[
            "dns64 64:1337::/64 {",
            "    translate_all",
            "    allow_ipv4",
            "}",
            "cache 30",
        ],
        names: SIXTY_FOUR,
        domains: ANYWHERE,
        ..PLAIN
    },
    // `acl`.
    Corefile {
        name: "acl",
        plugins: &[
            "acl example.com {",
            "    allow type A net 127.0.0.0/8",
            "    block type A AAAA",
            "    filter type MX net ::1",
            "}",
            "acl example.net berry.svc.cluster.local {",
            "    filter net 127.0.0.1",
            "    allow",
            "}",
            "acl drop.test {",
            "    drop type TXT net *",
            "}",
            "acl {",
            "    block type ANY HTTPS",
            "}",
            "loadbalance",
        ],
        names: &["drop.test", "example.com", "example.net", "web.berry.svc.cluster.local"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "any",
        plugins: &["any", "loadbalance"],
        names: &["example.com", "cluster.local"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "bufsize",
        plugins: &["bufsize 600", "loadbalance"],
        names: &["big.example.com", "echo.example.com", "big.example.net"],
        domains: ANYWHERE,
        ..PLAIN
    },
    Corefile {
        name: "bufsize-cache",
        plugins: &["bufsize", "cache 30", "loadbalance"],
        names: &["big.example.com", "echo.example.com", "big.example.net"],
        domains: ANYWHERE,
        ..PLAIN
    },
    // `file`.
    Corefile {
        name: "file",
        plugins: &["file FILES/zone zone.test", "loadbalance"],
        names: ZONE_NAMES,
        domains: &["zone.test"],
        ..PLAIN
    },
    Corefile {
        name: "file-block",
        blocks: &[
            "zone.test {",
            "    errors",
            "    file FILES/zone {",
            "        fallthrough",
            "    }",
            "    cache 30",
            "    forward . SECOND",
            "}",
        ],
        names: ZONE_NAMES,
        domains: &["zone.test", "example.com"],
        ..PLAIN
    },
    // Plugins of all kinds, as a cluster that has grown may have them.
    Corefile {
        name: "grown",
        options: &["pods verified", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
        forward: &[
            "forward . FIRST SECOND {",
            "    except invalid",
            "    policy sequential",
            "    prefer_udp",
            "}",
        ],
        plugins: &[
            "bufsize 1232",
            "any",
            "log",
            "rewrite name suffix .shop.test .svc.cluster.local answer auto",
            "template ANY ANY invalid {",
            "    rcode NXDOMAIN",
            "}",
            "hosts {",
            "    10.1.1.1 host.test",
            "    ttl 60",
            "    fallthrough",
            "}",
            "cache 30 {",
            "    disable success cluster.local",
            "    disable denial cluster.local",
            "}",
            "loop",
            "reload",
            "loadbalance",
        ],
        blocks: &[
            "abc.com:53 {",
            "    errors",
            "    cache 30",
            "    forward . SECOND",
            "}",
        ],
        names: &[
            "web.apple.shop.test",
            "host.test",
            "www.invalid",
            "invalid",
            "1.1.1.10.in-addr.arpa",
        ],
        domains: ANYWHERE,
    },
];

/// Names that `hosts` has in one of its forms, and their neighbours.
const HOST_NAMES: &[&str] = &[
    "host.test",
    "other.test",
    "six.test",
    "inline.test",
    "file.test",
    "none.test",
    "wrong.test",
    "x.host.test",
    "test",
    "over.example.com",
    "over.example.net",
    "web.apple.svc.cluster.local",
    "1.1.1.10.in-addr.arpa",
    "2.1.1.10.in-addr.arpa",
    "9.1.1.10.in-addr.arpa",
    "1.1.10.in-addr.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",
];

/// What `hosts` reads.
pub(crate) const HOSTS: &str = "\
# A comment.
127.0.0.1 localhost
::1 localhost
10.1.1.1 file.test file alias.file.test
10.1.1.1 second.test
10.1.1.2 File.Test
fd00:1::1 file.test
10.1.1.9\tover.example.com # Another one.
10.1.1.9
not-an-address none.test
fe80::1%eth0 scoped.test
";

/// Names as a client's search path makes them.
const SEARCHED: &[&str] = &[
    "www.example.com.apple.svc.cluster.local",
    "many.example.com.apple.svc.cluster.local",
    "nx.example.com.apple.svc.cluster.local",
    "nodata.example.com.apple.svc.cluster.local",
    "servfail.example.com.apple.svc.cluster.local",
    "alias.example.com.apple.svc.cluster.local",
    "www.example.com.berry.svc.cluster.local",
    "www.example.com.svc.cluster.local",
    "www.example.com.cluster.local",
    "web.apple.svc.cluster.local.apple.svc.cluster.local",
    "web.apple.svc.apple.svc.cluster.local",
    "web.apple.apple.svc.cluster.local",
    "web.apple.svc.cluster.local",
    "apple.svc.cluster.local",
    "single.apple.svc.cluster.local",
    "1.9.9.10.in-addr.arpa.apple.svc.cluster.local",
];

/// Names that have one family of addresses.
const SIXTY_FOUR: &[&str] = &[
    "v4.example.com",
    "v4-many.example.com",
    "v4-alias.example.com",
    "v4-seven.example.com",
    "v6.example.com",
    "v4-bare.example.com",
    "v4-minimum.example.com",
    "v4-chain.example.com",
    "web.apple.svc.cluster.local",
    "nx.example.com",
];

/// Names of the zone that `file` has, and their neighbours.
const ZONE_NAMES: &[&str] = &[
    "zone.test",
    "www.zone.test",
    "WWW.zone.test",
    "many.zone.test",
    "alias.zone.test",
    "chain.zone.test",
    "away.zone.test",
    "inside.zone.test",
    "dead.zone.test",
    "self.zone.test",
    "x.wild.zone.test",
    "x.y.wild.zone.test",
    "wild.zone.test",
    "there.wild.zone.test",
    "x.aliases.zone.test",
    "empty.zone.test",
    "deep.empty.zone.test",
    "child.zone.test",
    "x.child.zone.test",
    "ns.child.zone.test",
    "tree.zone.test",
    "x.tree.zone.test",
    "_http._tcp.zone.test",
    "caa.zone.test",
    "nx.zone.test",
    "\\042.wild.zone.test",
    "*.wild.zone.test",
];

/// What `file` reads.
pub(crate) const ZONE: &str = r#"
$ORIGIN zone.test.
$TTL 600
@ 3600 IN SOA ns.zone.test. hostmaster.zone.test. (7 7200 1800 86400 45)
@ IN NS ns
@ IN NS ns.example.com.
@ IN MX 10 www
@ IN TXT "a zone" "of two"
@ IN A 10.5.0.1
ns IN A 10.5.0.2
ns IN AAAA fd00:5::2
www 60 IN A 10.5.0.3
www IN AAAA fd00:5::3
many IN A 10.5.1.1
many IN A 10.5.1.2
many IN A 10.5.1.3
alias IN CNAME www
chain IN CNAME alias
away IN CNAME many.example.com.
inside IN CNAME web.apple.svc.cluster.local.
dead IN CNAME nothing
self IN CNAME self
*.wild IN A 10.5.0.4
*.wild IN TXT "wild"
there.wild IN MX 5 www
*.aliases IN CNAME www
deep.empty IN A 10.5.0.5
child IN NS ns.child
child IN NS ns.example.net.
ns.child IN A 10.5.0.6
tree IN DNAME www.example.com.
_http._tcp IN SRV 1 2 80 www
_http._tcp IN SRV 1 2 81 ns.example.com.
caa IN CAA 0 issue "ca.example"
caa IN HINFO "pc" "os"
"#;
