//! A node: a namespace that routes between its pods and its neighbours, as most CNI plugins set it up.
//!
//! Pods are reached by host routes over veth pairs; every pod's gateway is 169.254.1.1 or fe80::1 on the node's end.
//! There is no bridge, no NAT and no service address unless a caller adds one: what is sent to a ClusterIP ends here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::pod::{Pod, PodSpec};

/// The node's own addresses; everything that leaves the node by itself comes from them.
pub const NODE_IPV4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
/// See [`NODE_IPV4`].
pub const NODE_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 10);

/// The pods' gateway.
pub const GATEWAY_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// See [`GATEWAY_IPV4`].
pub const GATEWAY_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// A node with nothing attached.
#[derive(Debug)]
pub struct Node {
    namespace: Namespace,
}

impl Node {
    /// Makes a node that forwards both families.
    pub fn open() -> Result<Node> {
        let namespace = Namespace::open()?;
        let forward = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
        namespace
            .run("sh", ["-ec", forward])
            .context("the node cannot forward")?;
        let addresses = format!("address add {NODE_IPV4}/32 dev lo\naddress add {NODE_IPV6}/128 dev lo nodad\n");
        namespace.feed("ip", &["-batch", "-"], &addresses)?;
        Ok(Node { namespace })
    }

    /// The node's namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Attaches a pod by a veth pair: `eth0` in the pod, `veth-NAME` here.
    pub fn add_pod(&self, spec: &PodSpec) -> Result<Pod> {
        let namespace = Namespace::open()?;
        let link = format!("veth-{}", spec.name);
        self.connect(
            &link,
            &namespace,
            &[IpAddr::V4(spec.ipv4), IpAddr::V6(spec.ipv6)],
            spec.mtu,
        )
        .with_context(|| format!("cannot attach the pod {}", spec.name))?;
        if !spec.offload {
            namespace.run("ethtool", ["-K", "eth0", "tx", "off"])?;
            self.namespace.run("ethtool", ["-K", &link, "tx", "off"])?;
        }
        if spec.gro {
            namespace.run("ethtool", ["-K", "eth0", "gro", "on"])?;
        }
        Ok(Pod::new(namespace, link, spec))
    }

    /// Makes a neighbour, a namespace that is no pod: the control plane or an upstream server.
    pub fn add_neighbour(&self, name: &str, address: Ipv4Addr) -> Result<Namespace> {
        let namespace = Namespace::open()?;
        self.connect(name, &namespace, &[IpAddr::V4(address)], 1500)
            .with_context(|| format!("cannot attach the neighbour {name}"))?;
        Ok(namespace)
    }

    fn connect(&self, link: &str, other: &Namespace, addresses: &[IpAddr], mtu: u16) -> Result<()> {
        let handle = other.link_handle();
        let mut here = format!(
            "link add {link} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {handle}\n\
             address add {GATEWAY_IPV4}/32 dev {link} scope link\n\
             address add {GATEWAY_IPV6}/64 dev {link} nodad\n\
             link set {link} up\n"
        );
        let mut there = String::from("link set eth0 up\n");
        for address in addresses {
            let (length, own, gateway, any) = plan(*address);
            there += &format!("address add {address}/{length} dev eth0 nodad\n");
            there += &format!("route add {any} via {gateway} dev eth0 onlink\n");
            here += &format!("route add {address}/{length} dev {link} src {own}\n");
        }
        self.namespace.feed("ip", &["-batch", "-"], &here)?;
        other.feed("ip", &["-batch", "-"], &there)?;
        Ok(())
    }
}

/// Host prefix length, the node's address, the gateway and the default route of an address's family.
fn plan(address: IpAddr) -> (u8, IpAddr, IpAddr, &'static str) {
    match address {
        IpAddr::V4(_) => (32, NODE_IPV4.into(), GATEWAY_IPV4.into(), "0.0.0.0/0"),
        IpAddr::V6(_) => (128, NODE_IPV6.into(), GATEWAY_IPV6.into(), "::/0"),
    }
}
