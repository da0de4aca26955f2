use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::name::Name;

const CLASSIC: &str = ".:53 {
    log
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
";

const KUBEADM: &str = ".:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
";

fn read(text: &str) -> Result<Config, String> {
    parse_in(Path::new("Corefile"), text, &|_| None).map_err(|errors| errors.to_string())
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// What the kernel answers from each zone of the customary Corefiles.
const CUSTOMARY: [&str; 3] = {
    let reverse = "only what exists, since `kubernetes` lets what does not exist fall through";
    ["everything", reverse, reverse]
};

fn verdicts(config: &Config) -> Vec<String> {
    plan(config).iter().map(|plan| plan.verdict.to_string()).collect()
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| name(text)).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Reads a single server block of the root with these directives.
fn read_server(directives: &str) -> ServerBlock {
    read(&format!(".:53 {{\n{directives}\n}}")).unwrap().servers.remove(0)
}

fn read_kubernetes(options: &str) -> Kubernetes {
    read_server(&format!("kubernetes cluster.local in-addr.arpa {{\n{options}\n}}"))
        .kubernetes
        .unwrap()
}

fn assert_errors(cases: &[(&str, &str)], wrap: impl Fn(&str) -> String) {
    for (text, expected) in cases {
        assert_eq!(read(&wrap(text)).unwrap_err(), *expected, "{text:?}");
    }
}

#[test]
fn accepts_the_classic_corefile() {
    let config = read(CLASSIC).unwrap();
    let [server] = &config.servers[..] else {
        panic!("{config:?}")
    };
    assert_eq!((&server.keys[0].zone, server.keys[0].port), (&name("."), 53));
    assert_eq!(server.prometheus, Some(address("[::]:9153")));
    assert_eq!(
        server.health,
        Some(Health {
            address: address("[::]:8080"),
            lameduck: Duration::from_secs(5)
        })
    );
    assert_eq!(server.ready, Some(address("[::]:8181")));
    let kubernetes = server.kubernetes.as_ref().unwrap();
    assert_eq!(kubernetes.zones, names(&["cluster.local", "in-addr.arpa", "ip6.arpa"]));
    assert_eq!(
        (kubernetes.ttl, kubernetes.pods, &kubernetes.api_server),
        (30, Pods::Insecure, &ApiServer::InCluster)
    );
    assert_eq!(
        kubernetes.fallthrough,
        Fallthrough::Zones(names(&["in-addr.arpa", "ip6.arpa"]))
    );
    let [forward] = &server.forward[..] else {
        panic!("{server:?}")
    };
    assert!(matches!(&forward.to[..], [Upstream::File(path, _)] if path == Path::new("/etc/resolv.conf")));
    config.check_support().unwrap();
    assert_eq!(verdicts(&config), CUSTOMARY);
}

#[test]
fn accepts_the_corefile_of_kubeadm() {
    let config = read(KUBEADM).unwrap();
    config.check_support().unwrap();
    assert_eq!(verdicts(&config), CUSTOMARY);
}

#[test]
fn loads_a_file_and_names_it_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Corefile");
    let at = path.display().to_string();
    assert_eq!(
        load(&path).unwrap_err().to_string(),
        format!("{at}: cannot be read: No such file or directory (os error 2)")
    );
    std::fs::write(&path, b". {\n \xff\n}").unwrap();
    assert_eq!(
        load(&path).unwrap_err().to_string(),
        format!("{at}:2:2: not UTF-8 text; save the file as UTF-8")
    );
    std::fs::write(&path, "").unwrap();
    assert_eq!(
        load(&path).unwrap_err().to_string(),
        format!("{at}: no server block; expected one such as `.:53 {{ .. }}`")
    );
    std::fs::write(&path, CLASSIC).unwrap();
    assert_eq!(load(&path).unwrap().servers.len(), 1);
}

#[test]
fn takes_the_environment_of_the_process() {
    let text = ". {\n prometheus {$KXDNS_TEST_VARIABLE_THAT_NOBODY_SETS}:9153\n}";
    let config = parse(Path::new("Corefile"), text).unwrap();
    assert_eq!(config.servers[0].prometheus, Some(address("[::]:9153")));
    let path = parse(
        Path::new("Corefile"),
        ". {\n kubernetes x {\n kubeconfig {$PATH}\n }\n}",
    )
    .unwrap();
    let expected = ApiServer::Kubeconfig {
        file: std::env::var_os("PATH").unwrap().into(),
        context: None,
    };
    assert_eq!(path.servers[0].kubernetes.as_ref().unwrap().api_server, expected);
}

#[test]
fn reads_several_blocks_zones_and_ports() {
    let config = read("a.example:53 dns://b.example:54, 10.96.0.0/15 {\n}\nc.example {\n}\n").unwrap();
    let keys = |index: usize| -> Vec<_> {
        config.servers[index]
            .keys
            .iter()
            .map(|key| format!("{} {} {}", key.zone, key.port, key.span))
            .collect()
    };
    let expected = [
        "a.example. 53 Corefile:1:1",
        "b.example. 54 Corefile:1:14",
        "96.10.in-addr.arpa. 53 Corefile:1:34",
        "97.10.in-addr.arpa. 53 Corefile:1:34",
    ];
    assert_eq!(keys(0), expected);
    assert_eq!(keys(1), ["c.example. 53 Corefile:3:1"]);
}

#[test]
fn refuses_what_is_wrong_with_a_block() {
    assert_errors(
        &[
            ("", "Corefile: no server block; expected one such as `.:53 { .. }`"),
            (
                ". {\n kuberntes\n}",
                "Corefile:2:2: unknown directive `kuberntes`; did you mean `kubernetes`?",
            ),
            (
                ". {\n kubernetes{\n}",
                "Corefile:2:2: unknown directive `kubernetes{`; did you mean `kubernetes`?",
            ),
            (
                ". {\n imprt x\n}",
                "Corefile:2:2: unknown directive `imprt`; did you mean `import`?",
            ),
            (". {\n proxy . 8.8.8.8\n}", "Corefile:2:2: unknown directive `proxy`"),
            (
                ". {\n errors\n errors\n}",
                "Corefile:3:2: `errors` may stand only once here; the first is at Corefile:2:2",
            ),
            (
                ". {\n kubernetes a\n kubernetes b\n}",
                "Corefile:3:2: `kubernetes` may stand only once here; the first is at Corefile:2:2",
            ),
            (
                ". .:53 {\n}",
                "Corefile:1:3: `.:53` is served already, by the block at Corefile:1:1",
            ),
            (
                "A.b {\n}\na.b. {\n}",
                "Corefile:3:1: `a.b.:53` is served already, by the block at Corefile:1:1",
            ),
            (
                "10.0.0.0/8 {\n}\n10.in-addr.arpa {\n}",
                "Corefile:3:1: `10.in-addr.arpa.:53` is served already, by the block at Corefile:1:1",
            ),
            (
                ". {\n bind 127.0.0.1\n}\n. {\n}",
                "Corefile:4:1: `.:53` is served already, by the block at Corefile:1:1",
            ),
            (
                ". {\n bind 127.0.0.1 ::1\n}\n. {\n bind ::1\n}",
                "Corefile:4:1: `.:53` is served already, by the block at Corefile:1:1",
            ),
            (
                "tls://. {\n lop\n}",
                "Corefile:1:1: `tls://` is not supported by kxdns; it speaks plain DNS only: write `dns://` or nothing\n\
                 Corefile:2:2: unknown directive `lop`; did you mean `log`?",
            ),
        ],
        str::to_owned,
    );
}

#[test]
fn the_first_zone_that_is_of_no_network_is_the_primary_one() {
    for (zones, primary) in [
        ("cluster.local in-addr.arpa ip6.arpa", "cluster.local"),
        ("10.0.0.0/8 b.local a.local", "b.local"),
        ("10.in-addr.arpa ip6.arpa cluster.local", "ip6.arpa"),
        ("in-addr.arpa cluster.local", "in-addr.arpa"),
    ] {
        let kubernetes = read_server(&format!("kubernetes {zones}")).kubernetes.unwrap();
        assert_eq!(kubernetes.primary_zone(), Some(&name(primary)), "{zones}");
    }
}

#[test]
fn bind_and_view_let_blocks_share_a_zone() {
    for text in [
        ". {\n bind 127.0.0.1\n}\n. {\n bind ::1\n}",
        ". {\n view a {\n expr true\n }\n}\n. {\n}",
        ". {\n}\n.:54 {\n}",
    ] {
        assert_eq!(read(text).unwrap().servers.len(), 2, "{text:?}");
    }
}

#[test]
fn refuses_what_is_wrong_with_a_directive() {
    assert_errors(
        &[
            (
                "prometheus 9153",
                "Corefile:2:12: expected an address such as `:9153` or `127.0.0.1:9153`, found `9153`",
            ),
            (
                "prometheus :1 :2",
                "Corefile:2:1: `prometheus` takes at most 1 argument, found 2",
            ),
            (
                "prometheus {\nlts x\n}",
                "Corefile:3:1: unknown option `lts`; did you mean `tls`?",
            ),
            (
                "health {\nlameduck\n}",
                "Corefile:3:1: `lameduck` takes 1 argument, found 0",
            ),
            (
                "health {\nlameduck 5\n}",
                "Corefile:3:10: expected a duration such as `5s` or `1m30s`, found `5`",
            ),
            (
                "health {\nlameduk 5s\n}",
                "Corefile:3:1: unknown option `lameduk`; did you mean `lameduck`?",
            ),
            (
                "health {\nlameduck 5s {\n}\n}",
                "Corefile:3:1: `lameduck` takes no options in braces",
            ),
            (
                "health {\nlameduck 5s\nlameduck 6s\n}",
                "Corefile:4:1: `lameduck` may stand only once here; the first is at Corefile:3:1",
            ),
            (
                "ready {\nmonitor never\n}",
                "Corefile:3:9: expected `until-ready` or `continuously`, found `never`",
            ),
            ("bind", "Corefile:2:1: `bind` takes at least 1 argument, found 0"),
            (
                "bind eth0",
                "Corefile:2:6: expected an IP address (kxdns does not bind by the name of an interface), found `eth0`",
            ),
            (
                "bind ::1 {\nexcept ::1\n}",
                "Corefile:2:1: `bind` has no address left; expected one that `except` does not take away",
            ),
            ("loop x", "Corefile:2:1: `loop` takes no argument, found 1"),
            ("loop {\nx\n}", "Corefile:2:1: `loop` takes no options in braces"),
            (
                "reload 3s 2s 3s",
                "Corefile:2:1: `reload` takes at most 2 arguments, found 3",
            ),
            (
                "cache {\nsucces 1\n}",
                "Corefile:3:1: unknown option `succes`; did you mean `success`?",
            ),
            (
                "cache {\nsuccess\n}",
                "Corefile:3:1: `success` takes 1 to 3 arguments, found 0",
            ),
            (
                "errors {\nconsolidate 5m\n}",
                "Corefile:3:1: `consolidate` takes 2 to 4 arguments, found 1",
            ),
        ],
        |text| format!(". {{\n{text}\n}}"),
    );
}

#[test]
fn takes_what_coredns_knows_without_looking_into_it() {
    let server = read_server(
        "rewrite name a b\nrewrite stop {\n name regex (.*) {1}\n answer auto\n}\nhosts /etc/hosts {\n 10.0.0.1 a\n fallthrough\n}\n\
         template ANY AAAA {\n rcode NXDOMAIN\n}\nlog . {\n class error\n}\nlog example.org",
    );
    let found: Vec<_> = server.directives.iter().map(|directive| directive.name).collect();
    assert_eq!(found, ["rewrite", "rewrite", "hosts", "template", "log", "log"]);
}

#[test]
fn reads_the_directives_that_open_ports() {
    let server = read_server(
        "prometheus\nhealth 127.0.0.1:1\nready :2 {\n monitor continuously\n}\nbind 10.96.0.10 ::1 {\n except ::1\n}",
    );
    assert_eq!(server.prometheus, Some(address("127.0.0.1:9153")));
    assert_eq!(
        server.health,
        Some(Health {
            address: address("127.0.0.1:1"),
            lameduck: Duration::ZERO
        })
    );
    assert_eq!(server.ready, Some(address("[::]:2")));
    assert_eq!(server.bind, [address("10.96.0.10:0").ip()]);
    assert!(server.has("bind") && !server.has("forward"));
}

#[test]
fn reads_the_options_of_kubernetes() {
    let defaults = read_kubernetes("");
    assert_eq!(
        (defaults.ttl, defaults.pods, &defaults.fallthrough),
        (5, Pods::Disabled, &Fallthrough::None)
    );
    assert_eq!(defaults.api_server, ApiServer::InCluster);
    assert_eq!(defaults.startup_timeout, Duration::from_secs(5));
    assert_eq!(
        read_kubernetes("startup_timeout 1m").startup_timeout,
        Duration::from_secs(60)
    );
    assert_eq!(read_kubernetes("labels a in (b, c)").labels, "a in (b, c)");
    assert_eq!(read_kubernetes("namespace_labels a=b").namespace_labels, "a=b");
    assert_eq!(read_kubernetes("ttl 0").ttl, 0);
    assert_eq!(read_kubernetes("ttl 3600").ttl, 3600);
    assert_eq!(read_kubernetes("pods verified").pods, Pods::Verified);
    assert_eq!(read_kubernetes("pods disabled").pods, Pods::Disabled);
    assert_eq!(read_kubernetes("fallthrough").fallthrough, Fallthrough::All);
    let endpoint = ApiServer::Endpoint {
        url: "http://127.0.0.1:18010".to_owned(),
        tls: None,
    };
    assert_eq!(read_kubernetes("endpoint http://127.0.0.1:18010").api_server, endpoint);
    let tls = TlsFiles {
        certificate: "c".into(),
        key: "k".into(),
        authority: "a".into(),
    };
    let endpoint = ApiServer::Endpoint {
        url: "https://api:6443".to_owned(),
        tls: Some(tls),
    };
    assert_eq!(
        read_kubernetes("tls c k a\nendpoint https://api:6443").api_server,
        endpoint
    );
    let kubeconfig = |context| ApiServer::Kubeconfig {
        file: "/k".into(),
        context,
    };
    assert_eq!(read_kubernetes("kubeconfig /k").api_server, kubeconfig(None));
    assert_eq!(
        read_kubernetes("kubeconfig /k here").api_server,
        kubeconfig(Some("here".to_owned()))
    );
}

#[test]
fn kubernetes_without_zones_serves_those_of_its_block() {
    let config = read("cluster.local:53 cluster.local:54 10.96.0.0/12:54 {\n kubernetes\n}").unwrap();
    let zones = &config.servers[0].kubernetes.as_ref().unwrap().zones;
    assert_eq!(
        (zones.len(), &zones[0], &zones[16]),
        (17, &name("cluster.local"), &name("111.10.in-addr.arpa"))
    );
}

#[test]
fn no_option_of_kubernetes_keeps_the_kernel_from_answering() {
    for option in [
        "namespaces ns1 ns2\nnamespaces ns3",
        "namespace_labels a=b",
        "labels a in (b, c)",
        "ignore empty_service",
        "multicluster cluster.local",
        "noendpoints",
        "endpoint_pod_names",
        "zonal",
        "startup_timeout 5s\napiserver_qps 0.5\napiserver_burst 10\napiserver_max_inflight 2",
    ] {
        let config = read(&format!(". {{\nkubernetes cluster.local {{\n{option}\n}}\n}}")).unwrap();
        assert_eq!(verdicts(&config), ["everything"], "{option}");
    }
}

#[test]
fn reads_the_limits_that_cache_puts_on_ttls() {
    for (cache, success, denial) in [
        ("cache", 5..=3600, 5..=1800),
        ("cache 30", 5..=30, 5..=30),
        ("cache 30 example.org", 5..=30, 5..=30),
        ("cache {\nsuccess 100 60 10\ndenial 100 20\n}", 10..=60, 5..=20),
    ] {
        let config = read(&format!(". {{\n{cache}\nkubernetes cluster.local {{\nttl 30\n}}\n}}")).unwrap();
        let read = config.servers[0].cache.clone().unwrap();
        assert_eq!((read.success, read.denial), (success, denial), "{cache}");
        assert_eq!(read.zones.len(), usize::from(cache.ends_with("org")));
    }
    let error = read(". {\ncache 0\n}").unwrap_err().to_string();
    assert_eq!(error, "Corefile:2:7: expected a TTL in seconds, from 1, found `0`");
}

#[test]
fn refuses_what_is_wrong_with_kubernetes() {
    assert_errors(
        &[
            (
                "ttl 3601",
                "Corefile:3:5: expected a TTL from 0 to 3600 seconds, found `3601`",
            ),
            (
                "ttl -1",
                "Corefile:3:5: expected a TTL from 0 to 3600 seconds, found `-1`",
            ),
            (
                "ttl 30s",
                "Corefile:3:5: expected a TTL from 0 to 3600 seconds, found `30s`",
            ),
            ("ttl", "Corefile:3:1: `ttl` takes 1 argument, found 0"),
            ("ttl 1 2", "Corefile:3:1: `ttl` takes 1 argument, found 2"),
            (
                "pods insecur",
                "Corefile:3:6: unknown mode of `pods` `insecur`; did you mean `insecure`?",
            ),
            ("upstream", "Corefile:3:1: unknown option `upstream`"),
            ("resyncperiod 5m", "Corefile:3:1: unknown option `resyncperiod`"),
            (
                "falthrough",
                "Corefile:3:1: unknown option `falthrough`; did you mean `fallthrough`?",
            ),
            (
                "fallthrough a..b",
                "Corefile:3:13: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `a..b`",
            ),
            (
                "endpoint api:6443",
                "Corefile:3:10: expected a URL such as `https://10.0.0.1:6443`, found `api:6443`",
            ),
            (
                "endpoint http://",
                "Corefile:3:10: expected a URL such as `https://10.0.0.1:6443`, found `http://`",
            ),
            (
                "endpoint http://a http://b",
                "Corefile:3:1: `endpoint` takes 1 argument, found 2",
            ),
            (
                "endpoint http://a\ntls c k",
                "Corefile:4:1: `tls` takes 3 arguments, found 2",
            ),
            (
                "tls c k a",
                "Corefile:3:1: `tls` has no effect without `endpoint`; add it or remove `tls`",
            ),
            (
                "kubeconfig /k\nendpoint http://a",
                "Corefile:4:1: `endpoint` and `kubeconfig` (at Corefile:3:1) exclude each other; remove one",
            ),
            (
                "namespaces a\nnamespace_labels b",
                "Corefile:3:1: `namespaces` and `namespace_labels` (at Corefile:4:1) exclude each other; remove one",
            ),
            (
                "zonal\nnoendpoints",
                "Corefile:3:1: `zonal` and `noendpoints` (at Corefile:4:1) exclude each other; remove one",
            ),
            (
                "ignore empty_services",
                "Corefile:3:8: unknown thing to `ignore` `empty_services`; did you mean `empty_service`?",
            ),
            (
                "multicluster a.b",
                "Corefile:3:14: expected one of the zones of `kubernetes` itself, found `a.b`",
            ),
            (
                "startup_timeout soon",
                "Corefile:3:17: expected a duration such as `5s` or `1m30s`, found `soon`",
            ),
            (
                "apiserver_qps -1",
                "Corefile:3:15: expected a number from 0, found `-1`",
            ),
            (
                "apiserver_burst 1.5",
                "Corefile:3:17: expected a whole number from 0, found `1.5`",
            ),
            (
                "apiserver_max_inflight x",
                "Corefile:3:24: expected a whole number from 0, found `x`",
            ),
        ],
        |text| format!(". {{\nkubernetes cluster.local {{\n{text}\n}}\n}}"),
    );
    assert_errors(
        &[
            (
                ". {\nkubernetes in-addr.arpa 10.0.0.0/8\n}",
                "Corefile:2:1: `kubernetes` needs a zone that is not a reverse zone, such as `cluster.local`",
            ),
            (
                "10.0.0.0/8 {\nkubernetes\n}",
                "Corefile:2:1: `kubernetes` needs a zone that is not a reverse zone, such as `cluster.local`",
            ),
            (
                ". {\nkubernetes cluster.local:53\n}",
                "Corefile:2:12: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `cluster.local:53`",
            ),
        ],
        str::to_owned,
    );
}

#[test]
fn falls_through_for_the_names_that_it_says() {
    for (option, name_of, expected) in [
        ("", "1.0.0.10.in-addr.arpa", false),
        ("fallthrough", "a.cluster.local", true),
        ("fallthrough in-addr.arpa", "1.0.0.10.in-addr.arpa", true),
        ("fallthrough in-addr.arpa", "a.cluster.local", false),
    ] {
        assert_eq!(
            read_kubernetes(option).fallthrough.takes(&name(name_of)),
            expected,
            "{option} {name_of}"
        );
    }
}

/// The upstreams of a `forward`, or the errors.
fn servers(forward: &Forward) -> Result<Vec<String>, String> {
    let servers = forward.find_servers().map_err(|errors| errors.to_string())?;
    Ok(servers.iter().map(Server::to_string).collect())
}

#[test]
fn reads_the_upstreams_of_forward() {
    let server = read_server(
        "forward . 8.8.8.8 1.1.1.1:5353 dns://9.9.9.9 ::1 [::2] [::3]:54 tls://9.9.9.9 tls://[::4%x.example]:54 8.8.8.8:53 {\n except a.example b.example\n}\nforward c.example 10.0.0.1",
    );
    let [forward, other] = &server.forward[..] else {
        panic!("{server:?}")
    };
    let expected = [
        "8.8.8.8:53",
        "1.1.1.1:5353",
        "9.9.9.9:53",
        "[::1]:53",
        "[::2]:53",
        "[::3]:54",
        "tls://9.9.9.9:853",
        "tls://[::4]:54",
    ];
    assert_eq!(servers(forward).unwrap(), expected);
    assert_eq!(forward.find_servers().unwrap()[7].name.as_deref(), Some("x.example"));
    assert_eq!((&forward.from, &other.from), (&name("."), &name("c.example")));
    for (name_of, expected) in [
        ("a.example", false),
        ("x.b.example", false),
        ("c.example", true),
        (".", true),
    ] {
        assert_eq!(forward.takes(&name(name_of)), expected, "{name_of}");
    }
    assert!(!other.takes(&name("example")));
}

#[test]
fn reads_the_nameservers_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let server = read_server(&format!("forward . {} 10.0.0.1", path.display()));
    let find = || servers(&server.forward[0]);
    let at = path.display();
    let reason = "No such file or directory (os error 2)";
    assert_eq!(find(), Err(format!("Corefile:2:11: cannot read {at}: {reason}")));
    std::fs::write(&path, "search example.org\nnameserver fe80::1%eth0\n").unwrap();
    assert_eq!(
        find(),
        Err(format!("Corefile:2:11: {at} names no nameserver by IP address"))
    );
    std::fs::write(&path, "nameserver 10.0.0.1\nnameserver 10.0.0.2\n").unwrap();
    assert_eq!(find(), Ok(vec!["10.0.0.1:53".to_owned(), "10.0.0.2:53".to_owned()]));
}

#[test]
fn finds_nameservers_in_a_resolv_conf() {
    let text = "# nameserver 1.1.1.1\n;nameserver 2.2.2.2\nsearch a b\n\n nameserver\t10.0.0.2 # last\r\nnameserver ::1\n\
                nameserver\nnameserver example.org\nnameserver fe80::1%eth0\nnameservers 3.3.3.3\noptions ndots:5";
    assert_eq!(parse_nameservers(text), [address("10.0.0.2:53"), address("[::1]:53")]);
}

#[test]
fn refuses_what_is_wrong_with_forward() {
    let upstream = "an IP address with or without a port, or the path of a resolv.conf with a `/` in it";
    let refuse = |word: &str| format!("Corefile:2:11: expected {upstream}, found `{word}`");
    for word in [
        "dns.example.org",
        "8.8.8.888",
        "8.8.8.8:99999",
        "8.8.8.8:",
        "resolv.conf",
        "fe80::1%eth0",
    ] {
        assert_eq!(read(&format!(". {{\nforward . {word}\n}}")).unwrap_err(), refuse(word));
    }
    assert_errors(
        &[
            ("forward", "Corefile:2:1: `forward` takes 2 to 16 arguments, found 0"),
            ("forward .", "Corefile:2:1: `forward` takes 2 to 16 arguments, found 1"),
            (
                "forward . https://9.9.9.9",
                "Corefile:2:11: `https://` is not supported by kxdns; it speaks plain DNS only: write `dns://` or nothing",
            ),
            (
                "forward 10.96.0.0/12 10.0.0.1",
                "Corefile:2:9: expected one zone: a name, or a network on an octet (IPv4) or nibble (IPv6) boundary, found `10.96.0.0/12`",
            ),
            (
                "forward . 8.8.8.8 {\nmax_fail 3\n}",
                "Corefile:3:1: unknown option `max_fail`; did you mean `max_fails`?",
            ),
            (
                "forward . 8.8.8.8 {\nforce_tcp yes\n}",
                "Corefile:3:1: `force_tcp` takes no argument, found 1",
            ),
            (
                "forward . 8.8.8.8 {\nexcept a..b\n}",
                "Corefile:3:8: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `a..b`",
            ),
            (
                "forward . 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1",
                "Corefile:2:1: `forward` takes 2 to 16 arguments, found 17",
            ),
        ],
        |text| format!(". {{\n{text}\n}}"),
    );
}

#[test]
fn what_is_not_supported_is_an_error_for_who_serves() {
    let config = read(". {\n dnssec\n loadbalance {\n  prefer 10.0.0.0/8\n }\n metadata\n}").unwrap();
    let errors = config.check_support().unwrap_err().to_string();
    let way_out = "is not supported by kxdns; remove it, or leave serving to CoreDNS and run with --kernel-only";
    let expected = [
        format!("Corefile:2:2: `dnssec` {way_out}"),
        format!("Corefile:4:3: `loadbalance prefer` {way_out}"),
        format!("Corefile:6:2: `metadata` {way_out}"),
    ];
    assert_eq!(errors, expected.join("\n"));
}

#[test]
fn a_digest_is_of_words_and_not_of_their_places() {
    let digest = |text: &str| read(text).unwrap().digest;
    let first = digest(". {\n log\n errors\n}");
    assert_eq!(first.len(), 128);
    assert_eq!(digest("# more\n. {\n\n  log # each\n errors\n}\n"), first);
    for other in [
        ". {\n errors\n log\n}",
        ". {\n log\n}",
        "a {\n log\n errors\n}",
        ". {\n log errors\n}",
    ] {
        assert_ne!(digest(other), first, "{other}");
    }
}

#[test]
fn reads_how_often_the_file_is_looked_at() {
    let read = |text: &str| read_server(text).reload.unwrap();
    for (text, interval, jitter) in [
        ("reload", 30, 15),
        ("reload 10s", 10, 5),
        ("reload 10s 2s", 10, 2),
        ("reload 2s 0s", 2, 0),
    ] {
        let reload = read(text);
        assert_eq!(
            (reload.interval.as_secs(), reload.jitter.as_secs()),
            (interval, jitter),
            "{text}"
        );
    }
    assert_errors(
        &[
            (
                "reload 1s",
                "Corefile:2:8: expected an interval of at least `2s`, found `1s`",
            ),
            (
                "reload 30s 1ms",
                "Corefile:2:12: expected a jitter of `0s`, or of at least `1s`, found `1ms`",
            ),
        ],
        |text| format!(". {{\n{text}\n}}"),
    );
}
