//! A pod: a namespace whose only link, `eth0`, leads to its node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::namespace::Namespace;

/// What a pod's link looks like.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Names the node's end of the link, `veth-NAME`: at most 10 bytes.
    pub name: String,
    /// The pod's IPv4 address.
    pub ipv4: Ipv4Addr,
    /// The pod's IPv6 address.
    pub ipv6: Ipv6Addr,
    /// The MTU of both ends.
    pub mtu: u16,
    /// Whether both ends leave transmit checksums to the link, as they do unless told otherwise.
    pub offload: bool,
    /// Whether GRO is on in the pod, without which native XDP cannot send to it.
    pub gro: bool,
}

impl PodSpec {
    /// The pod number `host` of the node, 10.244.1.HOST, with a link as the kernel makes it.
    pub fn new(name: &str, host: u8) -> PodSpec {
        PodSpec {
            name: name.to_owned(),
            ipv4: Ipv4Addr::new(10, 244, 1, host),
            ipv6: Ipv6Addr::new(0xfd00, 0x10, 0x244, 1, 0, 0, 0, host.into()),
            mtu: 1500,
            offload: true,
            gro: false,
        }
    }
}

/// A pod that is attached to a node.
#[derive(Debug)]
pub struct Pod {
    namespace: Namespace,
    node_link: String,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

impl Pod {
    pub(crate) fn new(namespace: Namespace, node_link: String, spec: &PodSpec) -> Pod {
        Pod {
            namespace,
            node_link,
            ipv4: spec.ipv4,
            ipv6: spec.ipv6,
        }
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The name of the node's end of the pod's link.
    pub fn node_link(&self) -> &str {
        &self.node_link
    }

    /// The pod's IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// Both of the pod's addresses.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.ipv4.into(), self.ipv6.into()]
    }

    /// Writes the resolv.conf that the kubelet gives to a pod of this Kubernetes namespace.
    pub fn use_cluster_dns(&self, server: Ipv4Addr, kubernetes_namespace: &str) -> Result<()> {
        self.namespace.set_resolv_conf(&format!(
            "nameserver {server}\n\
             search {kubernetes_namespace}.svc.cluster.local svc.cluster.local cluster.local\n\
             options ndots:5\n"
        ))
    }
}
